"""No answer of a person is lost, applied twice, or applied to days and schools that it was not given for."""

import errno
import os
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError, CleverWithheldError
from airflow_provider_clever.lake.answers import GivenAnswer
from airflow_provider_clever.lake.giving_answers import give_answer
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.trust.lakes import Lake


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> Lake:
    return Lake(sandbox, tmp_path)


class Pausing(threading.Event):
    """Does something in the pause before schools are walked again."""

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__()
        self._do: list[Callable[[], object]] = [do]

    def wait(self, timeout: float | None = None) -> bool:
        while self._do:
            self._do.pop()()
        return super().wait(timeout)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def say(lake: Lake, word: Any, *names: str, by: str = "ada", **options: Any) -> list[GivenAnswer]:
    objects = objects_at(fsspec.filesystem("file"), str(lake.folder), single_writer=True)
    ids = tuple(lake.schools[name] for name in names)
    return give_answer(objects, lake.sandbox.district("small").id, ids, word, by=by, at=now(), **options)


def delete_all(lake: Lake, school: str) -> int:
    rows = lake.rows(school)
    lake.sandbox.delete_rows(*rows)
    return len(rows)


def test_a_run_does_not_answer_what_its_own_tasks_find_missing(lake: Lake) -> None:
    elm, cedar = lake.schools["Elm Primary"], lake.schools["Cedar High"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    lake.pull()
    started = now()
    lake.sandbox.knobs(rows_withheld_schools=[elm, cedar])
    lake.pull()

    say(lake, "deleted", by="run a", once=True, asked_before=started)
    say(lake, "deleted", by="run a", once=True, asked_before=started)  # another task of the run
    say(lake, "deleted", by="run a", once=True)  # the run is cleared, so that it begins later

    assert [one["school_id"] for one in lake.answers()["answers"]] == [elm]


def test_an_answer_given_while_a_pull_runs_speaks_to_the_next_one(lake: Lake) -> None:
    delete_all(lake, "Elm Primary")
    lake.pull()
    say(lake, "deleted", "Elm Primary")

    lake.pull(stop=Pausing(lambda: say(lake, "kept", "Elm Primary", by="eve")))

    used_up, heard_later = lake.answers()["answers"]
    assert (used_up["word"], bool(used_up["ended"])) == ("deleted", True)
    assert (heard_later["word"], heard_later["ended"]) == ("kept", [])


def test_an_answer_is_not_used_up_where_the_store_does_not_let_it_be_carried_out(
    lake: Lake, mocker: MockerFixture
) -> None:
    rows = delete_all(lake, "Elm Primary")
    lake.pull()
    say(lake, "deleted", "Elm Primary")
    refused = f"date=2026-11-12/school-{lake.schools['Elm Primary']}"
    plain_rename = os.rename

    def refuse(source: str, target: str, **options: Any) -> None:
        if refused in str(target):
            raise PermissionError(errno.EACCES, "refused", str(target))
        plain_rename(source, target, **options)

    mocker.patch("os.rename", refuse)
    assert isinstance(lake.pull().problem, CleverLandingError)
    mocker.stopall()
    assert 0 < lake.marks()["Elm Primary"] < rows

    assert lake.pull().problem is None
    assert lake.marks() == {"Elm Primary": rows}


def test_an_answer_about_no_day_that_waits_is_refused(lake: Lake) -> None:
    lake.sandbox.knobs(rows_withheld_schools=[lake.schools["Elm Primary"]])
    lake.pull()
    for word in ("deleted", "kept"):
        with pytest.raises(CleverSettingsError, match="none of these days"):
            say(lake, word, "Elm Primary", first=date(2026, 11, 24))
    assert lake.answers()["answers"] == []


def test_an_answer_does_not_speak_of_days_that_came_back_in_between(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    lake.pull()
    lake.sandbox.knobs(rows_withheld_schools=[elm], rows_withheld_days=["2026-11-16/2026-11-23"])
    lake.pull()

    (given,) = say(lake, "deleted", "Elm Primary")

    assert str(given.days) == "2026-11-16 to 2026-11-23"


def test_other_days_are_news_although_fewer_rows_are_missing_of_them(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    lake.pull(last_day=date(2026, 11, 13))

    later = {"first_day": date(2026, 11, 16), "last_day": date(2026, 11, 18)}
    assert [lake.pull(**later).summary["withheld"][0]["is_news"] for _ in range(2)] == [True, False]


def test_unshared_holds_until_a_list_names_the_school_again(lake: Lake) -> None:
    left_out = [lake.schools[name] for name in ("Elm Primary", "Cedar High")]
    lake.sandbox.knobs(unlisted_schools=left_out)
    lake.pull()
    say(lake, "unshared", "Elm Primary", "Cedar High")
    assert lake.pull().problem is None
    lake.sandbox.knobs(unlisted_schools=[])
    assert lake.pull().problem is None
    lake.sandbox.knobs(unlisted_schools=left_out)

    assert isinstance(lake.pull().problem, CleverWithheldError)


def test_schools_that_are_doubted_only_after_others_came_back_are_withheld_too(lake: Lake) -> None:
    names = ["Elm Primary", "Cedar High", *(set(lake.schools) - {"Elm Primary", "Cedar High"})]
    names.sort(key=lambda name: -len(lake.rows(name)))
    losing = names[:4]
    lake.sandbox.delete_rows(*(row for name in losing for row in lake.rows(name)[::11]))
    two_are_empty = [lake.schools[name] for name in losing[2:]]
    lake.sandbox.knobs(rows_withheld_schools=two_are_empty)

    answer = lake.pull(stop=Pausing(lambda: lake.sandbox.knobs(rows_withheld_schools=[])))

    assert lake.marks() == {}
    assert set(answer.summary["schools_withheld"]) == {lake.schools[name] for name in losing}
    assert isinstance(answer.problem, CleverWithheldError)
    schools = lake.receipt(answer)["schools"]
    assert not any(schools[lake.schools[name]]["covered"] for name in losing)
