"""What doctor makes of facts."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.cli.diagnosis import (
    SETTINGS,
    Finding,
    State,
    has_failed,
    of_coverage,
    of_setting,
    of_token,
    of_triggerer,
)
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.ledger.reporting import DistrictReport, SchoolDays
from airflow_provider_clever.settings import CleverSettings

SOME_DAYS = (SchoolDays("a", "Alder", (DateRange(date(2026, 6, 1), date(2026, 6, 2)),)),)
WELL = DistrictReport(
    district_id="d",
    schools=5,
    last_sync="2026-11-23T22:45:00.000000Z",
    newest_day=date(2026, 11, 23),
    watermark=None,
    gaps=0,
    days_to_expiry=None,
    about_to_be_lost=(),
    lost=(),
    failing=(),
    gone=(),
    withheld=(),
    missing=3,
    quarantined=0,
)
TROUBLED = {
    State.OK: WELL,
    State.WARNING: replace(WELL, gaps=2),
    State.FAILED: replace(WELL, gaps=2, about_to_be_lost=SOME_DAYS),
}


@given(st.lists(st.sampled_from(State)))
def test_one_failure_is_enough_and_nothing_else_is_one(states: list[State]) -> None:
    findings = [Finding(f"check {number}", state, "") for number, state in enumerate(states)]
    assert has_failed(findings) is (State.FAILED in states)


@given(st.lists(st.sampled_from([*TROUBLED, None]), min_size=1, max_size=9))
def test_the_worst_district_decides_and_is_named_first(states: list[State | None]) -> None:
    reports = {f"d{number}": state and TROUBLED[state] for number, state in enumerate(states)}
    verdict = of_coverage(reports, "/lake")
    meant = [state or State.WARNING for state in states]
    worst = max(meant, key=list(State).index)
    assert verdict.state is worst
    assert verdict.text.startswith(f"d{meant.index(worst)}: ")
    assert sum(f"{district_id}: " in verdict.text for district_id in reports) == min(5, len(reports))
    assert ("clever-attendance status /lake" in verdict.text) is (worst is not State.OK)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gaps": 1_200}, "which the next run pulls: 1,200"),
        ({"failing": SOME_DAYS}, "schools whose last pull failed: 1"),
        ({"withheld": SOME_DAYS}, "clever-attendance answer"),
        ({"quarantined": 4}, "rows in quarantine: 4"),
    ],
)
def test_each_trouble_of_a_district_is_named(change: dict[str, object], says: str) -> None:
    verdict = of_coverage({"d": replace(WELL, **change)}, "/lake")
    assert verdict.state is State.WARNING
    assert says in verdict.text


def test_credentials_that_open_no_district_have_failed() -> None:
    app = CleverSettings(client_id="id", client_secret="secret")
    assert of_token(app, []).state is State.FAILED
    assert of_token(app, ["d", "e"]) == (State.OK, "Client id and secret work. Districts connected: 2.")


@given(st.sampled_from(SETTINGS), st.text() | st.integers().map(str) | st.none())
def test_any_text_of_a_setting_gets_a_verdict(setting, text: str | None) -> None:
    assert of_setting(setting, text).state in (State.OK, State.WARNING, State.NOT_CHECKED)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_what_airflow_itself_sets_gets_no_warning(setting) -> None:
    own = {"max_map_length": "1024", "parallelism": "32", "max_active_tasks_per_dag": "16", "default_timezone": "utc"}
    assert of_setting(setting, own.get(setting.key, "600")).state is State.OK


@pytest.mark.parametrize("health", [None, [], {"status": None}, {"status": "unhealthy"}])
def test_a_triggerer_that_nobody_has_seen_is_a_warning(health: object) -> None:
    assert of_triggerer(health).state is State.WARNING
    assert of_triggerer({"status": "healthy"}).state is State.OK
