"""A person's list of students to forget."""

from collections.abc import Collection

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake.forgotten import key_of, read_forgotten
from airflow_provider_clever.storage.objects import Objects


def student_ids_in(text: str) -> list[str]:
    """The students that a list names: one id a line, blank lines left out, each once.

    :raises CleverSettingsError: a line is no id, or there is none; the message quotes none of them.
    """
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
    """Those of these students who were forgotten in a district with this key, and of whom a request is still pending.

    :raises CleverSettingsError: the secret is too short.
    :raises CleverLandingError: the destination cannot be read.
    """
    key = key_of(secret, district_id)
    pending = read_forgotten(objects, district_id).pending
    hashes = {hash_ for one in pending.values() for hash_ in one.students}
    return {student for student in student_ids if key is not None and key.student(student) in hashes}
