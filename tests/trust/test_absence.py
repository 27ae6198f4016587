"""Rows that do not come back: what is a deletion, what is walked again, and what is a doubt that takes nothing away."""

import gzip
import json
import os
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.attendance.absence import AbsenceRules
from airflow_provider_clever.exceptions import CleverStoppedError, CleverWithheldError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import AT_ONCE
from tests.trust.lakes import FIRST, LAST, Lake


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> Lake:
    return Lake(sandbox, tmp_path)


# --- the rows of the table --------------------------------------------------------------------------------------------


def test_at_most_a_tenth_of_the_windows_rows_is_marked_at_once(lake: Lake) -> None:
    rows = lake.rows("Elm Primary")
    gone = [row for number, row in enumerate(rows) if number % 10 == 3]
    assert len(gone) * 10 == len(rows)
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull()

    assert answer.problem is None
    assert lake.marks() == {"Elm Primary": len(gone)}
    assert answer.summary["missing"] == len(gone)
    assert answer.summary["requests"] == lake.requests


def test_one_row_more_than_a_tenth_is_walked_again_and_then_withheld(lake: Lake) -> None:
    rows = lake.rows("Elm Primary")
    gone = [row for number, row in enumerate(rows) if number % 10 == 3] + rows[:1]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull()

    assert isinstance(answer.problem, CleverWithheldError)
    assert lake.marks() == {}
    assert answer.summary["schools_withheld"] == [lake.schools["Elm Primary"]]
    assert answer.summary["requests"] > lake.requests


@pytest.mark.parametrize("students", [1, 2])
def test_all_rows_of_one_or_two_students_are_marked_whatever_part_that_is(lake: Lake, students: int) -> None:
    rows = lake.rows("Cedar High")
    left = sorted({row["student_id"] for row in rows})[:students]
    gone = [row for row in rows if row["student_id"] in left]
    assert len(gone) * 10 >= len(rows)
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull()

    assert answer.problem is None
    assert lake.marks() == {"Cedar High": len(gone)}


def test_three_students_of_ten_are_withheld(lake: Lake) -> None:
    rows = lake.rows("Cedar High")
    left = sorted({row["student_id"] for row in rows})[:3]
    lake.sandbox.delete_rows(*[row for row in rows if row["student_id"] in left])

    assert isinstance(lake.pull().problem, CleverWithheldError)
    assert lake.marks() == {}


def test_a_snow_day_taken_back_is_confirmed_on_a_fresh_connection_and_then_marked(lake: Lake) -> None:
    day = "2026-11-12"
    gone = {name: [row for row in lake.rows(name) if row["attendance_date"] == day] for name in lake.schools}
    lake.sandbox.delete_rows(*[row for rows in gone.values() for row in rows])
    lake.sandbox.clear_requests()

    answer = lake.pull()

    assert answer.problem is None
    assert lake.marks() == {name: len(rows) for name, rows in gone.items() if rows}
    asked = [one for one in lake.sandbox.requests() if one["family"] == "attendance"]
    by_school: dict[str, set[int]] = {}
    for one in asked:
        by_school.setdefault(one["path"], set()).add(one["connection"])
    assert all(len(connections) > 1 for connections in by_school.values())


def test_a_day_that_comes_with_the_second_walk_was_never_gone(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm], rows_withheld_days=["2026-11-12"])
    ended = threading.Timer(0.5, lambda: lake.sandbox.knobs(rows_withheld_schools=[], rows_withheld_days=[]))
    ended.start()

    answer = lake.pull(absence=AbsenceRules(confirm_seconds=3))

    ended.join()
    assert answer.problem is None
    assert lake.marks() == {}
    assert lake.receipt(answer)["schools"][elm]["covered"] == [[FIRST.isoformat(), LAST.isoformat()]]


@pytest.mark.parametrize("knobs", [{"empty_data": "null"}, {"empty_data": "list"}, {"empty_links": "missing"}], ids=str)
def test_a_night_on_which_nothing_comes_of_any_school_takes_nothing_away(lake: Lake, knobs: dict[str, str]) -> None:
    lake.sandbox.knobs(rows_withheld_schools=["*"], **knobs)

    answer = lake.pull()

    assert isinstance(answer.problem, CleverWithheldError)
    assert not answer.problem.permanent
    assert lake.marks() == {}
    assert len(answer.summary["schools_withheld"]) == 5
    for school in lake.receipt(answer)["schools"].values():
        assert (school["state"], school["covered"]) == ("withheld", [])
    lake.sandbox.knobs(rows_withheld_schools=[])
    healed = lake.pull()
    assert healed.problem is None
    assert healed.summary["requests"] == lake.requests
    assert lake.answers()["questions"] == {}


def test_one_school_of_five_that_comes_empty_for_a_night_leaves_the_others_alone(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    gone = lake.rows("Alder Elementary")[:3]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull()

    assert answer.summary["schools_withheld"] == [elm]
    assert lake.marks() == {"Alder Elementary": 3}
    schools = lake.receipt(answer)["schools"]
    assert {name: schools[school_id]["state"] for name, school_id in lake.schools.items() if school_id in schools} == {
        **dict.fromkeys(("Alder Elementary", "Birch Middle", "Cedar High", "Dogwood Academy"), "landed"),
        "Elm Primary": "withheld",
    }


def test_the_message_names_school_days_rows_since_when_and_how_to_answer(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    rows = len(lake.rows("Elm Primary"))
    lake.sandbox.knobs(rows_withheld_schools=[elm])

    first, second = lake.pull(), lake.pull()

    told = str(first.problem)
    for words in (
        f"Elm Primary ({elm})",
        "2026-11-02 to 2026-11-23",
        f"{rows} of {rows} landed rows",
        "since 20",
        f"{datetime.now(UTC):%Y}",
        "clever-attendance answer",
        "missing_rows",
    ):
        assert words in told
    since = [answer.summary["withheld"][0]["since"] for answer in (first, second)]
    assert since[0] == since[1]
    assert [answer.summary["withheld"][0]["is_news"] for answer in (first, second)] == [True, False]


def test_in_a_backfill_of_a_single_day_too_little_is_known_to_judge(lake: Lake) -> None:
    lake.sandbox.knobs(rows_withheld_schools=["*"])

    answer = lake.pull(first_day=date(2026, 11, 12), last_day=date(2026, 11, 12))

    assert answer.problem is None
    assert len(answer.summary["schools_unsettled"]) == 5
    assert lake.marks() == {}
    assert all(school["covered"] == [] for school in lake.receipt(answer)["schools"].values())


def test_in_a_backfill_of_a_single_day_ordinary_corrections_are_marked(lake: Lake) -> None:
    gone = [row for row in lake.rows("Elm Primary") if row["attendance_date"] == "2026-11-12"][:2]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull(first_day=date(2026, 11, 12), last_day=date(2026, 11, 12))

    assert answer.problem is None
    assert lake.marks() == {"Elm Primary": 2}


def test_many_schools_that_lose_a_little_each_are_doubted_together(lake: Lake) -> None:
    gone = [row for name in lake.schools for number, row in enumerate(lake.rows(name)) if number % 12 == 5]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull()

    assert isinstance(answer.problem, CleverWithheldError)
    assert lake.marks() == {}
    assert len(answer.summary["schools_withheld"]) == 5


def test_the_bounds_are_arguments(lake: Lake) -> None:
    gone = [row for name in lake.schools for number, row in enumerate(lake.rows(name)) if number % 3 == 1]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull(absence=AbsenceRules(school_percent=40, run_percent=40, confirm_seconds=0))

    assert answer.problem is None
    assert answer.summary["missing"] == len(gone)


# --- what may never be marked -----------------------------------------------------------------------------------------


def test_a_row_that_clever_first_saw_after_the_walk_began_is_not_marked_by_it(lake: Lake) -> None:
    """A slower pull beside a faster one: the faster has landed a row that the slower could not have seen."""
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    row = lake.rows("Elm Primary")[0] | {"student_id": "6" * 24, "created": later, "last_modified": later}
    lake.sandbox.put_rows(row)
    lake.pull()
    lake.sandbox.delete_rows(row)

    answer = lake.pull()

    assert answer.problem is None
    assert lake.marks() == {}


def test_nothing_is_marked_of_a_school_that_the_list_of_this_run_does_not_name(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(unlisted_schools=[elm])
    lake.sandbox.delete_rows(*lake.rows("Elm Primary")[:3])

    answer = lake.pull(school_ids=(elm,))

    assert isinstance(answer.problem, CleverWithheldError)
    assert "list of schools does not name it" in str(answer.problem)
    assert lake.marks() == {}


def test_nothing_is_marked_of_chosen_schools_while_the_list_comes_empty(lake: Lake) -> None:
    lake.sandbox.knobs(unlisted_schools=["*"])
    lake.sandbox.delete_rows(*lake.rows("Elm Primary")[:3])

    answer = lake.pull(school_ids=(lake.schools["Elm Primary"],))

    assert isinstance(answer.problem, CleverWithheldError)
    assert lake.marks() == {}


def test_a_school_that_is_unshared_while_its_id_stands_in_the_dag_keeps_its_rows(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(unknown_school="empty")
    lake.sandbox.share(elm, shared=False)

    answer = lake.pull(school_ids=(elm,))

    assert isinstance(answer.problem, CleverWithheldError)
    assert lake.marks() == {}


def test_chosen_schools_cost_the_list_only_if_there_is_something_to_mark(lake: Lake) -> None:
    chosen = (lake.schools["Elm Primary"],)
    lake.sandbox.clear_requests()
    lake.pull(school_ids=chosen)
    assert "schools" not in lake.sandbox.counters()["by_family"]
    lake.sandbox.delete_rows(*lake.rows("Elm Primary")[:3])
    lake.sandbox.clear_requests()
    lake.pull(school_ids=chosen, listed_at=datetime.now(UTC) - timedelta(minutes=20))
    assert "schools" not in lake.sandbox.counters()["by_family"]
    assert lake.marks() == {"Elm Primary": 3}
    lake.sandbox.delete_rows(*lake.rows("Elm Primary")[:3])
    lake.sandbox.clear_requests()
    lake.pull(school_ids=chosen, listed_at=datetime.now(UTC) - timedelta(days=3))
    assert lake.sandbox.counters()["by_family"]["schools"] == 1
    assert lake.marks() == {"Elm Primary": 6}


def test_a_walk_that_breaks_off_marks_nothing_of_its_school_and_its_days_stay_due(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.delete_rows(*lake.rows("Elm Primary")[:3])
    lake.sandbox.fault("500", school_id=elm, query="date_range_end=2026-11-23", times=0)

    answer = lake.pull()

    assert answer.summary["schools_failed"] == [elm]
    assert lake.marks() == {}
    assert lake.receipt(answer)["schools"][elm]["covered"] == []
    lake.sandbox.clear_faults()
    assert lake.pull().problem is None
    assert lake.marks() == {"Elm Primary": 3}


def test_a_second_walk_that_does_not_end_is_a_failure_and_marks_nothing(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    walks = len({one["query"] for one in lake.sandbox.requests() if elm in one["path"]})
    lake.sandbox.fault("500", school_id=elm, nth=walks + 1, times=0)

    answer = lake.pull()

    assert answer.summary["schools_failed"] == [elm]
    assert lake.marks() == {}
    assert lake.receipt(answer)["schools"][elm]["covered"] == []


def test_the_pause_before_the_second_walk_ends_at_once_when_the_task_is_killed(lake: Lake) -> None:
    lake.sandbox.knobs(rows_withheld_schools=["*"])
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()

    with pytest.raises(CleverStoppedError):
        lake.pull(stop=stop, absence=AbsenceRules(confirm_seconds=600))

    assert lake.marks() == {}


# --- retries ----------------------------------------------------------------------------------------------------------


def test_a_try_that_was_killed_half_way_through_its_marks_does_not_widen_the_bound(lake: Lake) -> None:
    """Ten percent, and after a kill nine more, are nineteen percent at one sync, not twice a little."""
    rows = lake.rows("Elm Primary")
    first = [row for number, row in enumerate(rows) if number % 10 == 3]
    lake.sandbox.delete_rows(*first)
    assert lake.pull(work="the night").problem is None  # its marks are made; as if it were killed before its receipt
    lake.sandbox.delete_rows(*[row for number, row in enumerate(rows) if number % 11 == 4])

    retry = lake.pull(work="the night")

    assert isinstance(retry.problem, CleverWithheldError)
    assert lake.marks() == {"Elm Primary": len(first)}


def test_a_retry_marks_what_its_first_try_left_unmarked(lake: Lake, mocker: MockerFixture) -> None:
    """Killed while it wrote marks: some partitions are marked, the rest is live, and nothing is covered."""
    rows = lake.rows("Elm Primary")
    gone = [row for number, row in enumerate(rows) if number % 10 == 3]
    lake.sandbox.delete_rows(*gone)
    replaced: list[int] = []
    plain = os.rename

    def full_disk(source: Any, target: Any, **more: Any) -> None:
        if "/attendance/" in str(target):
            replaced.append(1)
            if len(replaced) > 2:
                raise OSError(28, "No space left on device")
        plain(source, target, **more)

    mocker.patch("os.rename", full_disk)
    with pytest.raises(Exception, match=r"space|written"):
        lake.pull(work="the night")
    mocker.stopall()
    half = lake.marks()["Elm Primary"]
    assert 0 < half < len(gone)

    assert lake.pull(work="the night").problem is None
    assert lake.marks() == {"Elm Primary": len(gone)}


def test_the_correction_feed_tells_of_no_deletion_that_was_not_marked(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    gone = lake.rows("Alder Elementary")[:3]
    lake.sandbox.delete_rows(*gone)

    answer = lake.pull(write_changes=True)

    documents = [
        json.loads(gzip.decompress((lake.folder / path).read_bytes())) for path in lake.receipt(answer)["changes"]
    ]
    deletions = [
        change["after"]["student_id"]
        for document in documents
        for change in document["changes"]
        if change["after"]["missing_since"]
    ]
    assert sorted(deletions) == sorted(row["student_id"] for row in gone)
    assert {document["school_id"] for document in documents} == {lake.schools["Alder Elementary"]}


def test_pulls_without_the_bounds_given_wait_ten_seconds_before_a_second_walk() -> None:
    assert AbsenceRules() == AbsenceRules(school_percent=10, run_percent=5, students=2, confirm_seconds=10)
    assert AT_ONCE.confirm_seconds == 0
