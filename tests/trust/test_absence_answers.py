"""What a person says of rows that did not come back, and what a list of schools says that leaves schools out."""

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverWithheldError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.trust.lakes import Lake


@pytest.fixture
def lake(sandbox: Sandbox, tmp_path: Path) -> Lake:
    return Lake(sandbox, tmp_path)


def answer(lake: Lake, *words: str) -> int:
    return main(["answer", str(lake.folder), "--district", lake.sandbox.district("small").id, *words])


def gone_for_good(lake: Lake, school: str) -> list[dict[str, Any]]:
    """Clever really has no row of a school any more."""
    rows = lake.rows(school)
    lake.sandbox.delete_rows(*rows)
    return rows


def test_deleted_lets_the_next_pull_mark_what_it_misses_again(lake: Lake) -> None:
    rows = gone_for_good(lake, "Elm Primary")
    assert isinstance(lake.pull().problem, CleverWithheldError)
    assert answer(lake, "--school", lake.schools["Elm Primary"], "--deleted") == 0

    after = lake.pull()

    assert after.problem is None
    assert lake.marks() == {"Elm Primary": len(rows)}
    assert lake.receipt(after)["schools"][lake.schools["Elm Primary"]]["covered"]
    assert lake.answers()["questions"] == {}


def test_deleted_is_used_up_by_the_pull_that_marks(lake: Lake) -> None:
    rows = gone_for_good(lake, "Elm Primary")
    lake.pull()
    answer(lake, "--school", lake.schools["Elm Primary"], "--deleted", "--by", "ada")
    lake.pull(work="the night")
    assert lake.pull(work="the night").problem is None  # a retry decides like its first try
    lake.sandbox.put_rows(*rows)
    assert lake.pull().problem is None
    assert lake.marks() == {}
    lake.sandbox.knobs(rows_withheld_schools=[lake.schools["Elm Primary"]])

    assert isinstance(lake.pull().problem, CleverWithheldError)
    assert lake.marks() == {}
    (given,) = lake.answers()["answers"]
    assert (given["word"], given["by"]) == ("deleted", "ada")
    assert given["at"].startswith("20")


def test_deleted_marks_nothing_that_the_second_walk_brings(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    lake.pull()
    answer(lake, "--school", elm, "--deleted")
    lake.sandbox.knobs(rows_withheld_schools=[])

    assert lake.pull().problem is None
    assert lake.marks() == {}


def test_kept_settles_as_it_stands_night_after_night_until_the_rows_return(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    rows = gone_for_good(lake, "Elm Primary")
    lake.pull()
    assert answer(lake, "--school", elm, "--kept") == 0
    for _ in range(3):
        settled = lake.pull()
        assert settled.problem is None
        assert lake.receipt(settled)["schools"][elm]["covered"]
        assert lake.marks() == {}
    lake.sandbox.put_rows(*rows)
    assert lake.pull().problem is None
    lake.sandbox.delete_rows(*rows)

    assert isinstance(lake.pull().problem, CleverWithheldError)


def test_an_answer_speaks_of_its_days_alone(lake: Lake) -> None:
    elm = lake.schools["Elm Primary"]
    rows = gone_for_good(lake, "Elm Primary")
    lake.pull()
    answer(lake, "--school", elm, "--deleted", "--to", "2026-11-10")

    assert isinstance(lake.pull().problem, CleverWithheldError)
    assert lake.marks() == {"Elm Primary": sum(row["attendance_date"] <= "2026-11-10" for row in rows)}


def test_the_command_tells_what_waits_and_refuses_what_it_cannot_mean(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    elm = lake.schools["Elm Primary"]
    assert answer(lake) == 0
    assert "No school waits" in capsys.readouterr().out
    assert answer(lake, "--school", elm, "--kept") == 2
    assert "say of which days" in capsys.readouterr().err
    assert answer(lake, "--all", "--deleted") == 2
    lake.sandbox.knobs(rows_withheld_schools=[elm])
    lake.pull()
    assert answer(lake, "--deleted") == 2
    assert "--school" in capsys.readouterr().err
    assert answer(lake) == 1
    assert f"Elm Primary ({elm}): 2026-11-02 to 2026-11-23" in capsys.readouterr().out
    assert answer(lake, "--json") == 1
    assert list(json.loads(capsys.readouterr().out)) == [elm]
    assert answer(lake, "--school", elm, "--kept", "--from", "2026-11-09", "--to", "2026-11-02") == 2
    assert "swap them" in capsys.readouterr().err
    assert answer(lake, "--all", "--kept") == 0
    assert lake.pull().problem is None


def test_answers_of_another_district_or_damaged_ones_are_not_taken_for_ours(lake: Lake) -> None:
    lake.sandbox.knobs(rows_withheld_schools=[lake.schools["Elm Primary"]])
    lake.pull()
    (path,) = lake.folder.glob("_clever/*/answers.json")
    path.write_text(path.read_text().replace(lake.sandbox.district("small").id, "65e000000000000000000099"))
    assert "another district's" in str(lake.pull().problem)
    path.write_text("{")
    assert "damaged" in str(lake.pull().problem)
    assert lake.marks() == {}


# --- lists of schools -------------------------------------------------------------------------------------------------


def test_an_empty_list_of_schools_is_no_empty_district(lake: Lake) -> None:
    lake.sandbox.knobs(unlisted_schools=["*"])

    answer_ = lake.pull()

    assert isinstance(answer_.problem, CleverWithheldError)
    assert "list of schools is empty" in str(answer_.problem)
    assert answer_.summary["schools"] == 0
    assert lake.marks() == {}
    lake.sandbox.knobs(unlisted_schools=[])
    assert lake.pull().problem is None


def test_a_list_that_leaves_out_more_than_a_tenth_and_two_schools_is_red_until_it_names_them_again(lake: Lake) -> None:
    left_out = sorted(lake.schools[name] for name in ("Elm Primary", "Cedar High"))
    lake.sandbox.knobs(unlisted_schools=left_out)
    for _ in range(2):
        answer_ = lake.pull()
        assert isinstance(answer_.problem, CleverWithheldError)
        assert all(school_id in str(answer_.problem) for school_id in left_out)
        assert answer_.summary["schools"] == 3
    lake.sandbox.knobs(unlisted_schools=[])
    assert lake.pull().problem is None


def test_one_school_that_the_list_leaves_out_is_no_doubt(lake: Lake) -> None:
    lake.sandbox.knobs(unlisted_schools=[lake.schools["Elm Primary"]])

    assert lake.pull().problem is None


def test_unshared_makes_a_shorter_list_right(lake: Lake) -> None:
    left_out = [lake.schools[name] for name in ("Elm Primary", "Cedar High")]
    for school_id in left_out:
        lake.sandbox.share(school_id, shared=False)
    assert lake.pull().problem is not None
    assert answer(lake, "--school", left_out[0], "--school", left_out[1], "--unshared") == 0

    assert lake.pull().problem is None
    assert lake.marks() == {}
