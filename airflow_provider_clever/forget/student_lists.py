"""A person's list of students to forget."""

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverSettingsError


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
