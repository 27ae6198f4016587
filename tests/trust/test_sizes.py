"""A gateway that gives up on large pages, or a limit on ranges, costs some requests once and no school ever."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.exceptions import CleverHTTPError, CleverRequestError, CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings

DAYS = {"date_range_start": "2026-11-09", "date_range_end": "2026-11-18"}
QUICK = RetryPolicy(backoff_seconds=0.001)


@contextmanager
def client(sandbox: Sandbox, **sizes: Any) -> Iterator[CleverClient]:
    settings = CleverSettings(
        api_base=sandbox.url, auth_base=sandbox.url, token=sandbox.district("large").token, read_timeout_seconds=0.5
    )
    with CleverClient(settings, policy=QUICK, **sizes) as made:
        yield made


def schools(sandbox: Sandbox) -> tuple[str, ...]:
    return sandbox.district("large").school_ids


def rows(made: CleverClient, school_id: str, **days: str) -> int:
    query = AttendanceQuery(school_id=school_id, **{**DAYS, **days})  # type: ignore[arg-type]  # all are text
    return sum(len(page.rows) for page in made.iter_attendance_pages(query))


def due(sandbox: Sandbox, school_id: str) -> int:
    return len(sandbox.expected("large", school_id=school_id, **DAYS))


def refused(sandbox: Sandbox) -> int:
    return sum(number for status, number in sandbox.counters()["by_status"].items() if status != "200")


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"gateway_most_rows": 200, "gateway_status": 504}, "page_limit=125"),
        ({"gateway_most_rows": 600, "gateway_status": 502}, "page_limit=500"),
        ({"gateway_most_rows": 600, "gateway_status": 0, "gateway_seconds": 3.0}, "page_limit=500"),
        ({"max_span_days": 5}, "max_span_days=5"),
        ({"max_span_days": 1}, "max_span_days=1"),
    ],
    ids=str,
)
def test_what_is_too_large_is_asked_for_in_halves_and_remembered(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, knobs: dict[str, Any], said: str
) -> None:
    caplog.set_level(logging.WARNING)
    sandbox.knobs(**knobs)
    with client(sandbox) as made:
        first, second = schools(sandbox)[:2]
        assert rows(made, first) == due(sandbox, first)
        asked_too_much = refused(sandbox)
        assert asked_too_much <= 9
        assert rows(made, second) == due(sandbox, second)
        assert refused(sandbox) == asked_too_much
    lines = [line for line in caplog.messages if "from here on" in line]
    assert len(lines) == 1
    assert said in lines[0]


def test_both_at_once(sandbox: Sandbox) -> None:
    sandbox.knobs(gateway_most_rows=300, max_span_days=3)
    with client(sandbox) as made:
        assert rows(made, schools(sandbox)[0]) == due(sandbox, schools(sandbox)[0])


def test_sizes_that_were_given_cost_no_refusal(sandbox: Sandbox) -> None:
    sandbox.knobs(gateway_most_rows=300, max_span_days=3)
    with client(sandbox, page_limit=300, max_span_days=3) as made:
        assert rows(made, schools(sandbox)[0]) == due(sandbox, schools(sandbox)[0])
    assert refused(sandbox) == 0


def test_one_bad_moment_of_a_gateway_changes_no_size(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    sandbox.fault("504", family="attendance", times=2)
    with client(sandbox) as made:
        assert rows(made, schools(sandbox)[0]) == due(sandbox, schools(sandbox)[0])
    assert "from here on" not in caplog.text


def test_a_question_that_no_size_helps_is_the_error_that_it_was(sandbox: Sandbox) -> None:
    with client(sandbox) as made:
        sandbox.fault("503", family="attendance", times=0)
        with pytest.raises(CleverHTTPError, match="503"):
            rows(made, schools(sandbox)[0])
        sandbox.clear_faults()
        sandbox.fault("400", family="attendance", times=0)
        with pytest.raises(CleverRequestError, match="400") as caught:
            rows(made, schools(sandbox)[0])
        assert caught.value.permanent


@pytest.mark.parametrize("sizes", [{"page_limit": 0}, {"page_limit": 1001}, {"page_limit": True}, {"max_span_days": 0}])
def test_sizes_that_cannot_be_asked_for_are_refused_at_once(sandbox: Sandbox, sizes: dict[str, Any]) -> None:
    with pytest.raises(CleverSettingsError, match=next(iter(sizes))), client(sandbox, **sizes):
        pass


def test_a_walk_needs_dates(sandbox: Sandbox) -> None:
    query = AttendanceQuery(school_id=schools(sandbox)[0], any_day=True)
    with client(sandbox) as made, pytest.raises(CleverSettingsError, match="both dates"):
        list(made.iter_attendance_pages(query))
