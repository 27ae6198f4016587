"""Poke, reschedule and deferrable mode end alike: for each course of sync stamps, and for each option."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import fsspec
import pytest

from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_json import CoverageFile, to_json
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.syncs import moment_text, sync_moment
from tests.support.waits import MODES, Instance, Outcome, TaskState, meanwhile, wait, wait_for_looks
from tests.unit.test_syncs import SEQUENCES

all_modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module", autouse=True)
def new_world(sandbox_server: Sandbox) -> None:
    sandbox_server.reset()


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Sandbox:
    """A sandbox in which the small district is as new; a whole new world takes too long for so many tests."""
    sandbox_server.clear_faults()
    sandbox_server.pause("small", paused=False)
    sandbox_server.rotate_token("small")
    return sandbox_server


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json())


@pytest.fixture
def district_id(sandbox: Sandbox) -> str:
    return sandbox.district("small").id


@all_modes
@pytest.mark.parametrize(("since", "stamps", "conditions"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_course_of_stamps_ends_the_wait_exactly_when_it_advances(
    sandbox: Sandbox, district_id: str, mode: str, since: str | None, stamps: list[str | None], conditions: list[str]
) -> None:
    sandbox.set_stamp("small", stamps[0])

    def go_through_them() -> None:
        for stamp in stamps[1:]:
            wait_for_looks(sandbox)
            sandbox.set_stamp("small", stamp)

    with meanwhile(go_through_them):
        outcome = wait(
            mode, district_id=district_id, since=since, timeout=120.0 if "advanced" in conditions else 0.6 * len(stamps)
        )

    if "advanced" in conditions:
        assert outcome == Outcome("success", moment_text(sync_moment(stamps[-1])))  # type: ignore[arg-type]  # it is none
    else:
        assert outcome.state == "failed"


def never_advances(sandbox: Sandbox) -> None:
    pass


def advances_at_the_third_look(sandbox: Sandbox) -> None:
    wait_for_looks(sandbox)
    sandbox.sync("small")


def token_is_refused(sandbox: Sandbox) -> None:
    wait_for_looks(sandbox)
    sandbox.revoke_token("small")


def trouble_then_advance(sandbox: Sandbox) -> None:
    for kind in ("503", "html_200", "reset_mid_body", "refuse"):
        sandbox.fault(kind, family="districts", times=2, seconds=0.2)
    wait_for_looks(sandbox, 9)
    sandbox.sync("small")


def districts_pause(sandbox: Sandbox) -> None:
    wait_for_looks(sandbox)
    sandbox.pause("small")


SHORT, LONG = timedelta(seconds=0.5), timedelta(seconds=60)
OPTIONS: dict[str, tuple[Callable[[Sandbox], None], dict[str, Any], str]] = {
    "timeout": (never_advances, {"timeout": 0.5}, "failed"),
    "timeout 0": (never_advances, {"timeout": 0}, "failed"),
    "timeout as timedelta": (never_advances, {"timeout": SHORT}, "failed"),
    "timeout, soft_fail": (never_advances, {"timeout": 0.5, "soft_fail": True}, "skipped"),
    "timeout, never_fail": (never_advances, {"timeout": 0.5, "never_fail": True}, "skipped"),
    "timeout, silent_fail": (never_advances, {"timeout": 0.5, "silent_fail": True}, "failed"),
    "execution_timeout": (never_advances, {"execution_timeout": SHORT}, "up_for_retry"),
    "execution_timeout, soft_fail": (never_advances, {"execution_timeout": SHORT, "soft_fail": True}, "skipped"),
    "execution_timeout, never_fail": (never_advances, {"execution_timeout": SHORT, "never_fail": True}, "skipped"),
    "timeout before execution_timeout": (never_advances, {"timeout": 0.5, "execution_timeout": LONG}, "failed"),
    "execution_timeout that is not reached": (advances_at_the_third_look, {"execution_timeout": LONG}, "success"),
    "refused token": (token_is_refused, {}, "failed"),
    "refused token, soft_fail": (token_is_refused, {"soft_fail": True}, "skipped"),
    "refused token, never_fail": (token_is_refused, {"never_fail": True}, "skipped"),
    "refused token, silent_fail": (token_is_refused, {"silent_fail": True}, "failed"),
    "trouble": (trouble_then_advance, {}, "success"),
    "trouble, soft_fail": (trouble_then_advance, {"soft_fail": True}, "success"),
    "trouble, never_fail": (trouble_then_advance, {"never_fail": True}, "success"),
    "trouble, silent_fail": (trouble_then_advance, {"silent_fail": True}, "success"),
    "exponential_backoff": (
        advances_at_the_third_look,
        {"poke_interval": 0.4, "exponential_backoff": True, "max_wait": 0.2},
        "success",
    ),
    "max_wait alone changes nothing": (advances_at_the_third_look, {"max_wait": 3600}, "success"),
    "paused, wait": (districts_pause, {"timeout": 0.6}, "failed"),
    "paused, skip": (districts_pause, {"on_paused": "skip"}, "skipped"),
    "paused, fail": (districts_pause, {"on_paused": "fail"}, "failed"),
    "paused, fail, soft_fail": (districts_pause, {"on_paused": "fail", "soft_fail": True}, "skipped"),
}


@all_modes
@pytest.mark.parametrize(("course", "options", "state"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_means_the_same_in_all_modes(
    sandbox: Sandbox,
    district_id: str,
    mode: str,
    course: Callable[[Sandbox], None],
    options: dict[str, Any],
    state: str,
) -> None:
    since = sandbox.district("small").last_attendance_sync
    with meanwhile(lambda: course(sandbox)):
        outcome = wait(mode, district_id=district_id, since=since, **options)
    assert outcome.state == state, outcome.message


@all_modes
def test_a_last_look_at_the_deadline_sees_what_came_since(sandbox: Sandbox, district_id: str, mode: str) -> None:
    for timeout_seconds in (6.0, 40.0, 160.0):
        since = sandbox.district("small").last_attendance_sync
        started, synced_after = time.monotonic(), []

        def sync_between_looks() -> None:
            wait_for_looks(sandbox, 1)
            sandbox.sync("small")
            synced_after.append(time.monotonic() - started)  # noqa: B023 - it ends before the next round

        with meanwhile(sync_between_looks):
            # One look at once, the next one by its interval long after the deadline.
            outcome = wait(
                mode,
                district_id=district_id,
                since=since,
                timeout=timeout_seconds,
                poke_interval=600,
                exponential_backoff=True,
            )
        if synced_after[0] < timeout_seconds / 2:
            break  # else the machine was too busy for it to come before the deadline, surely
    assert outcome.state == "success", outcome.message


@all_modes
class TestBaseline:
    def test_since_counts_before_all_else(self, sandbox: Sandbox, district_id: str, mode: str, tmp_path: Any) -> None:
        ti = Instance(earlier={f"last_attendance_sync_{district_id}": ["2026-12-31T00:00:00Z"]})
        sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
        outcome = wait(
            mode, ti, district_id=district_id, since="2026-11-20T11:59:59.999Z", destination=tmp_path.as_uri()
        )
        assert outcome == Outcome("success", "2026-11-20T12:00:00.000000Z")
        assert ti.pushed[f"last_attendance_sync_{district_id}"] == "2026-11-20T12:00:00.000000Z"

    @pytest.mark.parametrize("since", [None, "2026-11-20T11:59:59Z"])
    def test_a_district_that_was_forgotten_there_is_not_waited_for(
        self, sandbox: Sandbox, district_id: str, mode: str, tmp_path: Any, since: str | None
    ) -> None:
        Forgetting(objects_at(fsspec.filesystem("file"), str(tmp_path)), district_id).district()
        sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
        outcome = wait(mode, district_id=district_id, since=since, destination=tmp_path.as_uri())
        assert outcome.state == "failed"
        assert "forgotten" in outcome.message

    def test_any_sync_at_all_is_enough_for_a_first_run(self, sandbox: Sandbox, district_id: str, mode: str) -> None:
        sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
        for blank in (None, "", "None"):
            assert wait(mode, district_id=district_id, since=blank).state == "success"

    def test_the_newest_value_of_earlier_runs_counts(self, sandbox: Sandbox, district_id: str, mode: str) -> None:
        ti = Instance(earlier={f"last_attendance_sync_{district_id}": ["2026-11-18T12:00:00Z", "2026-11-20T12:00:00Z"]})
        sandbox.set_stamp("small", "2026-11-20T12:00:00+00:00")
        assert wait(mode, ti, district_id=district_id, timeout=0.3).state == "failed"

    def test_what_was_pushed_last_counts_though_it_is_lower(
        self, sandbox: Sandbox, district_id: str, mode: str
    ) -> None:
        ti = Instance(
            earlier={
                f"last_attendance_sync_{district_id}_seen": [
                    {"sync": "2026-11-20T12:00:00Z", "at": "2026-11-20T13:00:00.000000Z"},
                    {"sync": "2026-11-18T12:00:00Z", "at": "2026-11-21T13:00:00.000000Z"},
                ]
            }
        )
        sandbox.set_stamp("small", "2026-11-19T12:00:00Z")
        assert wait(mode, ti, district_id=district_id).state == "success"

    def test_a_value_that_went_back_during_a_failed_wait_is_the_next_ones_baseline(
        self, sandbox: Sandbox, district_id: str, mode: str
    ) -> None:
        first = Instance(
            earlier={
                f"last_attendance_sync_{district_id}_seen": [
                    {"sync": "2026-11-20T12:00:00Z", "at": "2026-11-20T13:00:00.000000Z"}
                ]
            }
        )
        sandbox.set_stamp("small", "2026-11-18T12:00:00Z")
        assert wait(mode, first, district_id=district_id, timeout=0.3).state == "failed"
        sandbox.set_stamp("small", "2026-11-19T12:00:00Z")
        second = Instance(earlier={key: [*first.earlier.get(key, []), value] for key, value in first.pushed.items()})
        assert wait(mode, second, district_id=district_id).state == "success"

    def test_an_unreadable_since_fails_for_good(self, district_id: str, mode: str) -> None:
        outcome = wait(mode, district_id=district_id, since="yesterday")
        assert outcome.state == "failed"
        assert "ISO-8601" in outcome.message

    def test_the_watermark_at_the_destination_counts(
        self, sandbox: Sandbox, district_id: str, mode: str, tmp_path: Any
    ) -> None:
        record_watermark(tmp_path, district_id, "2026-11-20T12:00:00.000000Z")
        ti = Instance(earlier={f"last_attendance_sync_{district_id}": ["2026-11-01T12:00:00Z"]})
        sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
        where = tmp_path.as_uri()
        assert wait(mode, ti, district_id=district_id, destination=where, timeout=0.3).state == "failed"
        sandbox.set_stamp("small", "2026-11-20T12:00:01Z")
        assert wait(mode, ti, district_id=district_id, destination=where).state == "success"

    def test_it_stays_as_it_was_when_the_task_is_tried_again(
        self, sandbox: Sandbox, district_id: str, mode: str, tmp_path: Any
    ) -> None:
        record_watermark(tmp_path, district_id, "2026-11-20T12:00:00.000000Z")
        store = TaskState()
        sandbox.set_stamp("small", "2026-11-20T12:00:00Z")
        again = {"district_id": district_id, "destination": tmp_path.as_uri()}
        assert wait(mode, store=store, timeout=0.3, **again).state == "failed"
        record_watermark(tmp_path, district_id, "2026-11-21T12:00:00.000000Z")
        sandbox.set_stamp("small", "2026-11-21T12:00:00Z")
        assert wait(mode, store=store, timeout=0.3, **again).state == "success"


def record_watermark(destination: Any, district_id: str, watermark: str) -> None:
    path = destination / "_clever" / f"district={district_id}" / "coverage.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_json(CoverageFile(Coverage(district_id, watermark=watermark))))
