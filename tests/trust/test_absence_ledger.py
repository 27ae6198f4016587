"""What the nightly routine says of rows that did not come back: once, again when there are more, and never "lost"."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_clever.lake.giving_answers import give_answer
from airflow_provider_clever.ledger.coverage_store import Listing, read_coverage, rebuild_coverage
from airflow_provider_clever.ledger.recording import RecordedRun
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.trust.test_generated_nights import Story, mend


@pytest.fixture
def story(sandbox: Sandbox) -> Iterator[Story]:
    one = Story(sandbox, random.Random(3))
    one.night(upload={})
    yield one
    mend(one)


def school(story: Story, name: str) -> str:
    return story.sandbox.district("small").schools[name]


def night(story: Story) -> RecordedRun:
    return story.night(upload={})[1]


def test_a_night_is_red_when_a_school_becomes_withheld_and_quiet_when_it_still_is(story: Story) -> None:
    elm = school(story, "Elm Primary")
    story.sandbox.knobs(rows_withheld_schools=[elm])
    first = night(story)
    assert len(first.problems) == 1
    assert "Elm Primary" in first.problems[0]
    assert "clever-attendance answer" in first.problems[0]
    while story.day.weekday() != 6:  # a sweep asks for more days, so that more rows are missing
        night(story)
    for _ in range(4):
        quiet = night(story)
        assert quiet.problems == []
    (told,) = quiet.report.withheld
    assert told.school_id == elm
    assert "landed rows did not come back, since" in told.words
    assert (quiet.report.lost, quiet.report.gone, quiet.report.failing) == ((), (), ())
    since = read_coverage(story.objects, story.district_id).coverage.schools[elm].withheld
    assert since is not None
    mend(story)
    healed = night(story)
    assert (healed.problems, healed.report.withheld) == ([], ())
    story.check_everything()


def test_a_night_is_red_again_when_more_is_missing(story: Story) -> None:
    elm = school(story, "Elm Primary")
    while story.day.weekday() != 6:  # so that no sweep comes in between
        night(story)
    days = [(story.day - timedelta(days=days)).isoformat() for days in (12, 5)]
    story.sandbox.knobs(rows_withheld_schools=[elm], rows_withheld_days=["/".join(days)])
    assert night(story).problems
    assert night(story).problems == []
    story.sandbox.knobs(rows_withheld_days=[])
    assert night(story).problems
    assert night(story).problems == []


def test_withheld_days_are_due_again_and_hold_the_watermark_back(story: Story) -> None:
    elm = school(story, "Elm Primary")
    before = read_coverage(story.objects, story.district_id).coverage.watermark
    story.sandbox.knobs(rows_withheld_schools=[elm])
    night(story)
    assert read_coverage(story.objects, story.district_id).coverage.watermark == before
    found, _ = story.night(upload=None)
    assert any(elm in task.school_ids for task in found.plan.tasks)


def test_what_is_withheld_comes_out_the_same_when_coverage_is_made_again(story: Story) -> None:
    story.sandbox.knobs(rows_withheld_schools=[school(story, "Elm Primary")])
    night(story)
    night(story)
    known = read_coverage(story.objects, story.district_id).coverage
    again = rebuild_coverage(story.objects, story.district_id, Listing(today=story.day)).coverage
    assert again.schools == known.schools


def test_a_july_rollover_that_is_answered_is_neither_red_for_ever_nor_hides_a_semester(story: Story) -> None:
    landed = {key for key, (_, mark) in story.landed().items() if not mark}
    story.sandbox.knobs(rows_withheld_schools=["*"])
    assert night(story).problems
    give_answer(story.objects, story.district_id, (), "kept", by="ada", at=datetime.now(UTC).isoformat())
    for _ in range(8):
        run = night(story)
    assert (run.problems, run.report.withheld) == ([], ())
    assert {key for key, (_, mark) in story.landed().items() if not mark} >= landed


def test_a_first_pull_that_finds_nothing_counts_only_when_that_is_repeated_on_a_later_day(sandbox: Sandbox) -> None:
    story = Story(sandbox, random.Random(4))
    elm = school(story, "Elm Primary")
    sandbox.knobs(rows_withheld_schools=[elm])
    first = story.night(upload={})[1]
    assert first.problems == []
    coverage = read_coverage(story.objects, story.district_id).coverage
    assert all(coverage.schools[elm].gaps(one.days) == (one.days,) for one in coverage.schools[elm].bare)
    night(story)
    coverage = read_coverage(story.objects, story.district_id).coverage
    assert any(not coverage.schools[elm].gaps(one.days) for one in coverage.schools[elm].bare)
    mend(story)
    # The first rows prove that what came before them was no answer: everything is asked for again.
    night(story)
    night(story)
    story.check_everything()


def test_a_list_that_leaves_out_schools_is_red_and_makes_none_of_them_gone(story: Story) -> None:
    left_out = [school(story, name) for name in ("Elm Primary", "Cedar High")]
    story.sandbox.knobs(unlisted_schools=left_out)
    for _ in range(3):
        run = night(story)
        assert "leaves out 2 schools at once" in run.problems[0]
        assert run.report.gone == ()
    story.sandbox.knobs(unlisted_schools=["*"])
    run = night(story)
    assert "list of schools is empty" in run.problems[0]
    assert run.report.gone == ()
    mend(story)
    assert night(story).problems == []
    story.check_everything()


def test_the_plan_of_a_night_without_doubt_asks_as_often_as_before(story: Story) -> None:
    """Ordinary corrections cost no request: the plan has fetched the list of schools."""
    night(story)
    story.sandbox.clear_requests()
    night(story)
    usual = story.sandbox.counters()["by_family"]
    row = story.sandbox.expected("small", school_id=school(story, "Elm Primary"))[-1]
    story.sandbox.delete_rows(row)
    story.sandbox.clear_requests()
    night(story)
    counted = story.sandbox.counters()["by_family"]
    assert {name: counted[name] for name in ("schools", "districts")} == {
        name: usual[name] for name in ("schools", "districts")
    }


def test_unshared_speaks_of_a_school_until_a_later_list_names_it_again(story: Story) -> None:
    left_out = [school(story, name) for name in ("Elm Primary", "Cedar High")]
    night(story)
    story.sandbox.knobs(unlisted_schools=left_out)
    assert any("leaves out 2 schools" in problem for problem in night(story).problems)
    give_answer(story.objects, story.district_id, left_out, "unshared", by="ada", at=f"{story.day}T12:00:00.000000Z")
    assert night(story).problems == []
    story.sandbox.knobs(unlisted_schools=[])
    assert [night(story).problems for _ in range(2)] == [[], []]
    story.sandbox.knobs(unlisted_schools=left_out)

    assert any("leaves out 2 schools" in problem for problem in night(story).problems)
