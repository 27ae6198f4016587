"""What OpenAPI cannot say: which parameters go together, and what is refused though each one alone is fine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.sandbox.__main__ import main
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, cursor_of, links, school

DAYS = st.sampled_from([None, "2026-11-09", "2026-11-13", "2026-11-20", "2031-01-01"])
STATUSES = st.sampled_from([None, "present", "absent", "tardy"])


@pytest.fixture
def place(sandbox: Sandbox) -> tuple[str, str, str]:
    """A school, a cursor of its attendance, and the token that reads both."""
    elm = school(sandbox, "Elm")
    page = ask(sandbox, attendance(elm), limit=7, **RANGE)
    return elm, cursor_of(links(page)["next"]), sandbox.district("small").token


@given(
    start=DAYS,
    end=DAYS,
    status=STATUSES,
    limit=st.sampled_from([None, 1, 3, 1000]),
    cursors=st.sampled_from(["", "starting_after", "ending_before", "both"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_question_of_valid_parameters_is_refused_for_a_stated_reason_only(
    sandbox: Sandbox,
    place: tuple[str, str, str],
    start: str | None,
    end: str | None,
    status: str | None,
    limit: int | None,
    cursors: str,
) -> None:
    elm, cursor, token = place
    names = {"": (), "both": ("starting_after", "ending_before")}.get(cursors, (cursors,))
    params: dict[str, Any] = {
        "date_range_start": start,
        "date_range_end": end,
        "attendance_status": status,
        "limit": limit,
        **dict.fromkeys(names, cursor),
    }
    asked = {name: value for name, value in params.items() if value is not None}
    answer = ask(sandbox, attendance(elm), token, **asked)
    one_date = (start is None) != (end is None)
    is_reversed = start is not None and end is not None and start > end
    assert (answer.status_code == 400) == (one_date or is_reversed or cursors == "both")
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v3.1/schools", {"count": "yes"}),
        ("/v3.1/districts", {"count": "1"}),
        ("/v3.1/users", {"role": "principal"}),
        ("/v3.1/users", {"role": ""}),
        ("/v3.1/schools/{school}/users", {"role": "contact"}),
        ("/v3.1/schools/{school}/users", {"primary": "false"}),
        ("/v3.1/events", {"record_type": ["schools", "attendance"]}),
        ("/v3.1/schools", {"ending_before": ""}),
        ("/v3.1/schools", {"starting_after": ""}),
        ("/v3.1/sections", {"ending_before": "last"}),
        ("/v3.1/attendance/schools/{school}", {"ending_before": ""}),
        ("/v3.1/attendance/schools/{school}", {"starting_after": ""}),
    ],
)
def test_values_that_are_not_documented_are_refused(sandbox: Sandbox, path: str, params: dict[str, Any]) -> None:
    answer = ask(sandbox, path.format(school=school(sandbox, "Birch")), **params)
    assert answer.status_code == 400
    assert next(iter(params)) in answer.json()["message"]


@pytest.mark.parametrize("count", ["", "false", "undefined"])
def test_count_gives_the_records_unless_it_is_true(sandbox: Sandbox, count: str) -> None:
    assert ask(sandbox, "/v3.1/schools", count=count).json()["data"]


def test_lists_below_a_school_have_no_count(sandbox: Sandbox) -> None:
    for kind in ("users", "sections"):
        assert ask(sandbox, f"/v3.1/schools/{school(sandbox, 'Birch')}/{kind}", count="true").json()["data"]


def test_primary_leaves_out_the_student_who_has_moved_to_another_school(sandbox: Sandbox) -> None:
    def people(**params: Any) -> set[str]:
        page = ask(sandbox, f"/v3.1/schools/{school(sandbox, 'Birch')}/users", limit=1000, role="student", **params)
        return {item["data"]["id"] for item in page.json()["data"]}

    (moved,) = people() - people(primary="true")
    assert people(primary="") == people()
    alder = ask(sandbox, f"/v3.1/schools/{school(sandbox, 'Alder')}/users", limit=1000, primary="true")
    assert moved in {item["data"]["id"] for item in alder.json()["data"]}


def test_events_can_be_asked_by_school_and_by_kind_of_record(sandbox: Sandbox) -> None:
    elm = school(sandbox, "Elm")
    (event,) = ask(sandbox, "/v3.1/events", school=elm).json()["data"]
    assert event["data"]["data"]["object"]["id"] == elm
    assert ask(sandbox, "/v3.1/events", record_type="users").json()["data"] == []
    both = ask(sandbox, "/v3.1/events", record_type=["users", "schools"]).json()["data"]
    assert both == ask(sandbox, "/v3.1/events").json()["data"]


@pytest.mark.parametrize(
    ("option", "value"), [("port", "99999"), ("port", "-1"), ("rate-limit", "0"), ("window-seconds", "nan")]
)
def test_an_order_of_the_command_line_that_cannot_be_is_refused_with_its_bounds(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--{option}", value])
    assert ended.value.code == 2
    assert f"--{option}: '{value}' is not a" in capsys.readouterr().err
