"""Rows as Clever sends them, drawn at random: as usual as can be, odd in one place, or odd throughout."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

STUDENT, SCHOOL, DISTRICT, SECTION = ("5f0c0000000000000000000" + digit for digit in "1234")


def row(**changes: Any) -> dict[str, Any]:
    """Make a row as Clever sends it; ``...`` leaves a field out."""
    plain = {
        "attendance_date": "2026-01-05",
        "attendance_status": "absent",
        "attendance_type": "section",
        "created": "2026-01-06T01:02:03.456Z",
        "district_id": DISTRICT,
        "excuse_code": "ILL",
        "last_modified": "2026-01-06T01:02:03.456Z",
        "school_id": SCHOOL,
        "section_id": SECTION,
        "sis_id": "A-1",
        "student_id": STUDENT,
    }
    return sent(plain | changes)


def sent(item: Any) -> Any:
    """What is left of a drawn row without the fields that are ``...``."""
    return {name: value for name, value in item.items() if value is not ...} if isinstance(item, dict) else item


def page_of(*rows: Any, **envelope: Any) -> bytes:
    """Make a page of these rows."""
    return json.dumps({"data": list(rows), "links": [], **envelope}).encode()


IDS = st.sampled_from([STUDENT, "a", "x" * 64, "x" * 65, "", "../x", "a\n", "é", None, 5, True, ["a"], {"a": 1}, ...])
DATES = st.sampled_from(
    ["2026-01-05", "2024-02-29", "2023-02-29", "2026-1-5", "20260105", "", None, 20260105, 1.5, ..., []]
)
MOMENTS = st.sampled_from(
    [
        *("2026-01-06T01:02:03.456Z", "2026-01-06T01:02:03Z", "2026-01-06T25:02:03.456Z", "2026-02-30T01:02:03.456Z"),
        *("0001-01-01T00:00:00+01:00", "2026-01-06T01:02:60.000Z", "1767571200", "2026-01-06", "", None, 1767571200),
        *("2026-01-06T01:02:03.456+05:30", "2026-W01-1T01:02:03.000Z", "٢026-01-06T01:02:03.456Z", " ", True, ..., {}),
    ]
)
TEXTS = st.sampled_from(["absent", "daily", "excused", "", " ", "é\u2028", None, 0, False, [], ...])
ROWS = st.fixed_dictionaries(
    {
        "attendance_date": DATES,
        "attendance_status": TEXTS,
        "attendance_type": TEXTS,
        "created": MOMENTS,
        "last_modified": MOMENTS,
        "district_id": IDS,
        "school_id": IDS,
        "student_id": IDS,
        "section_id": IDS,
        "excuse_code": TEXTS,
        "sis_id": TEXTS,
        "zz": st.just(...) | st.none() | st.text(max_size=3),
        "model_config": st.just(...) | st.integers(),
    }
)
ESCAPED_TEXT = st.sampled_from(['"', "\\", "\n", "\x00", "\x1e", "\x1f", 'é "😀"'])
USUAL = st.builds(
    row,
    created=st.sampled_from(["2026-01-06T01:02:03.456Z", None, "", ...]),
    section_id=st.sampled_from([SECTION, "", None, ...]),
    excuse_code=st.sampled_from(["ILL", "", None, ...]),
    sis_id=st.sampled_from(["A-1", ...]) | ESCAPED_TEXT,
    zz=st.sampled_from([1, ..., ...]),
)
ONE_ODD = st.builds(lambda usual, odd, name: usual | {name: odd[name]}, USUAL, ROWS, st.sampled_from(sorted(row())))
GARBAGE = st.sampled_from([None, "x", [], 5])

NOTHING = st.sampled_from([None, "", ...])
FREE_TEXT = st.sampled_from(["ILL", "é", "😀", "%s{}", "\x7f", "\u202e a", "null", " "]) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\'), min_size=1, max_size=2
)
"""Text that JSON can hold as it is."""

DOCUMENTED = st.builds(
    row,
    attendance_status=st.sampled_from(["present", "absent", "tardy", "excused", "é"]),
    attendance_type=st.sampled_from(["daily", "section"]),
    student_id=st.sampled_from([STUDENT, "a", "x" * 64, "-_"]),
    section_id=st.sampled_from([SECTION, "s"]) | NOTHING,
    created=st.sampled_from(["2026-01-06T01:02:03.456Z", "2000-02-29T23:59:59.999Z"]) | NOTHING,
    last_modified=st.sampled_from(["2026-01-06T01:02:03.456Z", "2999-12-31T00:00:00.000Z"]) | NOTHING,
    excuse_code=FREE_TEXT | NOTHING,
    sis_id=FREE_TEXT | NOTHING,
)
"""Rows with nothing in them but what is documented."""

DAYS = st.sampled_from(["2026-01-05", "2026-01-06", "2026-02-28"])
PAGES = st.lists(st.builds(lambda item, day: item | {"attendance_date": day}, DOCUMENTED, DAYS), min_size=1, max_size=5)
PAGES_IN_ORDER = PAGES.map(lambda rows: sorted(rows, key=lambda item: str(item["attendance_date"])))
"""Pages of such rows, in the order of their days."""
