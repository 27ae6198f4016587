"""What must be in no log line, exception text, summary, receipt or rendered template, and how to find it there."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote

from airflow_provider_clever.sandbox.testing import Sandbox

UNKNOWN_VALUE = "canary-of-a-field-that-nobody-knows"
NETRC_PASSWORD = "canary-of-a-netrc-password"
ROW = re.compile(r"""\bstudent_id\\*["']?\s*[:=]\s*\\*["']""")
"""The beginning of a row, as JSON, as a dict, as keyword arguments or escaped once more."""


class Canaries:
    """Secrets and student data that are in play, by kind.

    :param sandbox: whose tokens, secret and rows are meant.
    :param districts: the districts whose rows are in play.
    """

    def __init__(self, sandbox: Sandbox, *districts: str) -> None:
        app = f"{sandbox.client_id}:{sandbox.client_secret}"
        self.texts: dict[str, str] = {
            sandbox.client_secret: "the client secret",
            b64encode(app.encode()).decode(): "the client secret in a header",
            UNKNOWN_VALUE: "an unknown field's value",
            NETRC_PASSWORD: "the password in ~/.netrc",
        }
        self.note_tokens(sandbox)
        for district in districts:
            for row in sandbox.iter_expected(district):
                self._note_row(row)

    def note_tokens(self, sandbox: Sandbox) -> None:
        """Add the tokens as they are now; those of before stay."""
        for one in sandbox.districts.values():
            self.texts[one.token] = "a token"

    def _note_row(self, row: Mapping[str, Any]) -> None:
        student_id = row["student_id"]
        self.texts[student_id] = "a student id"
        self.texts[cursor_part(row["attendance_date"], student_id)] = "a cursor"
        if len(row.get("sis_id") or "") > 3:
            self.texts[row["sis_id"]] = "a row's sis_id"
        code = (row.get("excuse_code") or "").strip()
        if len(code) > 3:  # shorter ones stand in other words
            self.texts |= dict.fromkeys((code, json.dumps(code)[1:-1], repr(code)[1:-1], quote(code)), "an excuse code")

    def found_in(self, text: str) -> list[str]:
        """Say what a text gives away: which kind, and around it."""
        found = [
            f"{kind}: {_around(text, text.index(canary))}" for canary, kind in self.texts.items() if canary in text
        ]
        return found + [f"a row: {_around(text, row.start())}" for row in ROW.finditer(text)]

    def hold_every_cursor_of(self, requests: list[dict[str, Any]]) -> bool:
        """Tell whether every cursor that was sent is known; there must be at least one."""
        sent = list(cursors_in(requests))
        return bool(sent) and all(any(canary in cursor for canary in self.texts) for cursor in sent)


def cursor_part(day: str, student_id: str) -> str:
    """The piece of a cursor that names the student; base64 of ``date_student_...`` (clever-api.md 3.1)."""
    return b64encode(f"{day}_{student_id}".encode()).decode()[15:46]


def cursors_in(requests: list[dict[str, Any]]) -> Iterator[str]:
    """The attendance cursors that the sandbox was sent."""
    for entry in requests:
        if entry["family"] == "attendance":
            yield from parse_qs(entry["query"]).get("starting_after", [])


def _around(text: str, at: int) -> str:
    return repr(text[max(0, at - 100) : at + 100])
