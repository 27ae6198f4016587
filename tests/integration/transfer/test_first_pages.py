"""Nobody has said how many rows a school has: its first page does."""

from datetime import date
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, landed


def range_of(question: dict[str, str]) -> dict[str, date]:
    first, last = map(date.fromisoformat, question.values())
    return {"first_day": first, "last_day": last}


def attendance_requests(sandbox: Sandbox) -> int:
    return sum(request["path"].startswith("/v3.1/attendance") for request in sandbox.requests())


@pytest.mark.parametrize("days", [1, 5, 12])
def test_a_school_whose_days_fit_one_page_is_asked_once(sandbox: Sandbox, tmp_path: Path, days: int):
    question = {"date_range_start": f"2026-11-{21 - days:02}", "date_range_end": "2026-11-20"}
    school = min(sandbox.district("small").school_ids, key=lambda one: _count(sandbox, "small", one, question))
    assert 0 < _count(sandbox, "small", school, question) <= 1000
    sandbox.clear_requests()

    ask(sandbox, tmp_path, school_ids=(school,), **range_of(question))

    assert attendance_requests(sandbox) == 1
    assert landed(tmp_path) == due(sandbox.expected("small", school_id=school, **question))


def test_a_large_school_is_cut_after_its_first_page_into_about_as_many_walks_as_it_has_pages(
    sandbox: Sandbox, tmp_path: Path
):
    question = {"date_range_start": "2026-11-02", "date_range_end": "2026-11-20"}
    [school, *_] = sandbox.district("large").school_ids
    pages = -(-_count(sandbox, "large", school, question) // 1000)
    sandbox.clear_requests()

    ask(sandbox, tmp_path, district="large", school_ids=(school,), **range_of(question))

    assert attendance_requests(sandbox) <= 1 + 2 * pages
    asked = [parse_qs(request["query"]) for request in sandbox.requests()]
    starts = {query["date_range_start"][0] for query in asked if "date_range_start" in query}
    assert len(starts) == 8, "as many as may run side by side"
    assert landed(tmp_path) == due(sandbox.expected("large", school_id=school, **question))


def test_its_rows_come_in_their_order_all_the_same(sandbox: Sandbox):
    question = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-20"}
    [school, *_] = sandbox.district("large").school_ids

    rows = ask(sandbox, None, district="large", limit=50_000, school_ids=(school,), **range_of(question)).rows

    assert rows == sandbox.expected("large", school_id=school, **question)


def _count(sandbox: Sandbox, district: str, school: str, question: dict[str, str]) -> int:
    return int(sandbox.expected_count(district, school_id=school, **question)["total"])
