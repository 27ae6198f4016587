"""Faults that change an attendance page on its way out: wrong links, wrong rows, wrong shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .answers import Answer
from .faults import Fault
from .query import Cursor, encode_cursor
from .rows import row_key

Page = dict[str, Any]
Row = dict[str, Any]


def _link(page: Page, rel: str) -> dict[str, str] | None:
    return next((link for link in page.get("links") or [] if link["rel"] == rel), None)


def _next_loop(page: Page, _: Fault) -> None:
    """The next link leads to the page itself."""
    own = _link(page, "self")
    if own is not None:
        _set_next(page, own["uri"])


def _foreign(scheme: str) -> Callable[[Page, Fault], None]:
    def point_away(page: Page, fault: Fault) -> None:
        uri = (_link(page, "next") or _link(page, "self") or {"uri": "/v3.1/districts"})["uri"]
        _set_next(page, f"{scheme}://{fault.host}{uri}")

    return point_away


def _set_next(page: Page, uri: str) -> None:
    kept = [link for link in page.get("links") or [] if link["rel"] != "next"]
    page["links"] = [*kept[:1], {"rel": "next", "uri": uri}, *kept[1:]]


def _last_page_goes_on(page: Page, _: Fault) -> None:
    """The last page carries a next link all the same; the page behind it is empty."""
    own = _link(page, "self")
    if _link(page, "next") is None and page["data"] and own is not None:
        _set_next(page, _with_cursor(own["uri"], _cursor(page["data"][-1])))


def _empty_page_first(page: Page, _: Fault) -> None:
    """The page is empty and its next link leads on from the same place, under another cursor."""
    own = _link(page, "self")
    if own is not None and page["data"]:
        first = page["data"][0]
        before = Cursor(str(first["attendance_date"]), row_key(first)[:-1])
        _set_next(page, _with_cursor(own["uri"], encode_cursor(before)))
    page["data"] = []


def _with_cursor(uri: str, cursor: str) -> str:
    path, _, query = uri.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith(("starting_after=", "ending_before="))]
    return f"{path}?{'&'.join([*kept, f'starting_after={cursor}'])}"


def _cursor(row: Row) -> str:
    return encode_cursor(Cursor(str(row["attendance_date"]), row_key(row)))


def _null_data(page: Page, _: Fault) -> None:
    page["data"] = None


def _missing_links(page: Page, _: Fault) -> None:
    page.pop("links", None)


def _duplicate_keys(page: Page, fault: Fault) -> None:
    """A row stands twice on the page, the second time with another status."""
    if page["data"]:
        row = page["data"][fault.row]
        other = "tardy" if row["attendance_status"] != "tardy" else "absent"
        page["data"].insert(fault.row + 1, {**row, "attendance_status": other})


def _keys_backwards(page: Page, _: Fault) -> None:
    page["data"].reverse()


def _foreign_district(page: Page, fault: Fault) -> None:
    if page["data"]:
        page["data"][fault.row]["district_id"] = "66ffffffffffffffffffffff"


def _malformed(page: Page, fault: Fault) -> None:
    if page["data"]:
        DEFECTS[fault.defect](page["data"][fault.row], fault)


def _drop(name: str) -> Callable[[Row, Fault], None]:
    def drop(row: Row, _: Fault) -> None:
        row.pop(name, None)

    return drop


def _put(name: str, value: object) -> Callable[[Row, Fault], None]:
    def put(row: Row, _: Fault) -> None:
        row[name] = value

    return put


def _unknown_field(row: Row, fault: Fault) -> None:
    row["zz_new_field"] = fault.canary
    row["zz_new_object"] = {"inner": [fault.canary, 1.5, None]}


DEFECTS: dict[str, Callable[[Row, Fault], None]] = {
    "missing_student_id": _drop("student_id"),
    "empty_student_id": _put("student_id", ""),
    "path_student_id": _put("student_id", "../x"),
    "missing_date": _drop("attendance_date"),
    "integer_date": _put("attendance_date", 20260401),
    "unreal_date": _put("attendance_date", "2026-02-31"),
    "date_out_of_range": _put("attendance_date", "2019-01-02"),
    "other_school": _put("school_id", "66eeeeeeeeeeeeeeeeeeeeee"),
    "unknown_status": _put("attendance_status", "excused"),
    "unknown_type": _put("attendance_type", "meeting"),
    "unknown_field": _unknown_field,
    "lone_surrogate": _put("excuse_code", "half \ud83d emoji"),
    "null_optional": _put("excuse_code", None),
    "bad_timestamp": _put("last_modified", "yesterday"),
    "null_last_modified": _put("last_modified", None),
}

PAGE_FAULTS: dict[str, Callable[[Page, Fault], None]] = {
    "next_loop": _next_loop,
    "next_foreign_host": _foreign("https"),
    "next_foreign_scheme": _foreign("ftp"),
    "extra_empty_last_page": _last_page_goes_on,
    "empty_page_with_next": _empty_page_first,
    "null_data": _null_data,
    "missing_links": _missing_links,
    "duplicate_keys": _duplicate_keys,
    "keys_backwards": _keys_backwards,
    "foreign_district_rows": _foreign_district,
    "malformed_row": _malformed,
}


def change_page(answer: Answer, fault: Fault) -> Answer:
    """Change a good page; any other answer goes out as it is."""
    if answer.status != 200 or not answer.body.startswith(b"{"):
        return answer
    page: Page = json.loads(answer.body)
    PAGE_FAULTS[fault.kind](page, fault)
    # ASCII with escapes, because a lone surrogate has no UTF-8 form.
    answer.body = json.dumps(page, separators=(",", ":")).encode()
    return answer
