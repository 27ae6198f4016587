"""Reads the list of students that a person wants forgotten."""

import codecs
from collections.abc import Collection

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake.forgotten import key_of, read_forgotten
from airflow_provider_clever.storage.objects import Objects


def student_ids_in(data: bytes) -> list[str]:
    """Give the students that a list names: one id a line; blank lines and repetitions are dropped.

    :param data: text in UTF-8, or in what Windows calls Unicode: UTF-16 that begins with its mark.
    :raises CleverSettingsError: it is no text, a line is no id, or there is none; the message quotes none of them.
    """
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise CleverSettingsError("the list of students is no text in UTF-8; save it as plain text") from None
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not is_clever_id(line):
            raise CleverSettingsError(
                f"line {number} of the list of students is no Clever id; write one id a line, and nothing else"
            )
    found = list(dict.fromkeys(filter(None, lines)))
    if not found:
        raise CleverSettingsError("the list of students is empty; write one Clever id a line")
    return found


def pending_among(objects: Objects, district_id: str, secret: str | None, student_ids: Collection[str]) -> set[str]:
    """Give the students among these for whom a request, made with this key, is still pending in a district.

    :raises CleverSettingsError: the secret is too short.
    :raises CleverLandingError: the destination cannot be read.
    """
    key = key_of(secret, district_id)
    pending = read_forgotten(objects, district_id).pending
    hashes = {hash_ for one in pending.values() for hash_ in one.students}
    return {student for student in student_ids if key is not None and key.student(student) in hashes}
