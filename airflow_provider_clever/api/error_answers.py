"""What an error answer says, limited to phrases that are safe to show."""

import json
import re
from http import HTTPStatus
from typing import Final

from airflow_provider_clever.api.messages import Response

_ERROR_FIELDS: Final = ("message", "error_description", "error")
"""The fields in which Clever puts an error's text; the first one found counts (clever-api.md 5)."""
_PARAMETER: Final = (
    "(?:limit|date_range_start|date_range_end|attendance_status|starting_after|ending_before|district|owner_type)"
)
_PHRASES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        (rf"{_PARAMETER} in query should be (?:less|greater) than or equal to \d{{1,5}}", r"\g<0>"),
        (rf"{_PARAMETER} in query should be one of \[(?:present|absent|tardy| )+\]", r"\g<0>"),
        (rf"{_PARAMETER} in query is (?:required|not a valid cursor)", r"\g<0>"),
        (rf"{_PARAMETER} and {_PARAMETER} (?:must|cannot) be used together", r"\g<0>"),
        (rf"{_PARAMETER} must (?:not )?be (?:on or )?(?:before|after) {_PARAMETER}", r"\g<0>"),
        (r"(?:the )?date range (?:may|must|cannot) (?:not )?span (?:at most|more than) \d{1,4} days", r"\g<0>"),
        (r"parsing time .*: ((?:month|day|hour|minute|second) out of range)", r"a date cannot be read: \1"),
        (r"parsing time .*", "a date cannot be read"),
        (r"strconv\.Parse\w+: parsing .*", "a number cannot be read"),
        (r"(school|section|district|user|resource|page) (?:[0-9a-z_-]{1,64} )?not found", r"\1 not found"),
        (r"no authorization provided|could not authorize token|resource not in token's scopes", r"\g<0>"),
        (r"unauthorized|invalid[ _](?:grant|client|token|request)(?:: invalid code)?", r"\g<0>"),
    )
)
"""The phrases that may be shown, and how: those of clever-api.md 5, and what servers of its kind write. An error may
echo anything, a student's name included, so no other text is shown."""


def phrase_of(response: Response) -> str:
    """Give the text of an error answer if it is a known phrase, else the HTTP status' standard phrase."""
    text = " ".join(_message_in(response.body).split()).rstrip(" .")
    for pattern, shown in _PHRASES:
        if found := pattern.fullmatch(text):
            return found.expand(shown)
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return "no reason given"


def is_written_by_clever(body: bytes) -> bool:
    """Tell whether an error answer has the form of Clever's errors. Proxies and gateways answer in HTML."""
    return bool(_message_in(body))


def _message_in(body: bytes) -> str:
    try:
        answer = json.loads(body[:10_000].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    found = [answer.get(name) for name in _ERROR_FIELDS] if isinstance(answer, dict) else []
    return next((text for text in found if isinstance(text, str) and text), "")
