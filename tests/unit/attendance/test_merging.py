"""Merging: what is added, replaced, marked and kept."""

from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.batches import batch_of, landed_schema, rows_of
from airflow_provider_clever.attendance.keys import Key, keys
from airflow_provider_clever.dates import months_later
from tests.lake.builders import ASKED_AT, SYNC, instant, landed, pulled, row, texts

ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from("abc"),
        attendance_type=st.sampled_from(["daily", "section"]),
        section_id=st.sampled_from([None, "s1", "s2"]),
        sis_id=st.sampled_from([None, "x", "y"]),
        attendance_status=st.sampled_from(["present", "absent"]),
        modified=st.sampled_from([None, 1, 2, 3]),
    ),
    max_size=12,
)


def merge_and_mark(previous: pa.RecordBatch, pulled_rows: merge.Prepared, missing_since: str = SYNC) -> merge.Merged:
    """Merge a whole pull, and mark at once what did not come back."""
    outcome = merge.merge(previous, pulled_rows)
    found = merge.evidence(previous, outcome.unseen, missing_since=missing_since, asked_at=ASKED_AT)
    marked = merge.mark(outcome.rows, found, missing_since=missing_since)
    return marked._replace(counts=outcome.counts + marked.counts, changes=outcome.changes + marked.changes)


def merged(previous: pa.RecordBatch, *pulls: list[dict[str, str | None]], whole: bool = True) -> pa.RecordBatch:
    for pull in pulls:
        step = merge_and_mark if whole else merge.merge
        previous = step(previous, merge.prepare(pulled(pull))).rows
    return previous


def one_merge(
    previous: list[dict[str, str | None]], pull: list[dict[str, str | None]], *, whole: bool = True
) -> merge.Merged:
    step = merge_and_mark if whole else merge.merge
    return step(landed(previous), merge.prepare(pulled(pull)))


@given(ROWS, ROWS)
def test_merging_the_same_pull_again_changes_nothing(first: list, second: list) -> None:
    once = merged(landed([]), first, second)
    again = merge_and_mark(once, merge.prepare(pulled(second)))
    assert again.rows == once
    assert again.changes == []


@given(ROWS, ROWS, st.randoms())
def test_the_order_of_rows_within_a_pull_does_not_matter(first: list, second: list, chance) -> None:
    shuffled = chance.sample(second, len(second))
    assert merged(merged(landed([]), first), second) == merged(merged(landed([]), first), shuffled)
    assert set(merge.prepare(pulled(second)).conflicts) == set(merge.prepare(pulled(shuffled)).conflicts)


@given(ROWS, ROWS, st.booleans())
def test_keys_are_unique_and_sorted_and_never_get_fewer(first: list, second: list, whole: bool) -> None:
    before = merged(landed([]), first)
    after = merged(before, second, whole=whole)
    found = keys(after)
    assert found == sorted(set(found))
    assert set(found) == set(keys(before)) | set(keys(pulled(second)))


@given(ROWS)
def test_every_received_row_lands_or_conflicts_or_repeats_another(pull: list) -> None:
    ready = merge.prepare(pulled(pull))
    assert ready.rows.num_rows + len(ready.conflicts) + ready.duplicates == len(pull)
    distinct = {tuple(one.values()) for one in pull}
    assert ready.rows.num_rows + len(ready.conflicts) == len(distinct)


@given(ROWS, ROWS)
def test_the_newest_version_of_every_key_survives_in_whatever_order_pulls_come(first: list, second: list) -> None:
    newest: dict[Key, str] = {}
    everything = pulled([*first, *second])
    for key, modified in zip(keys(everything), texts(everything, "last_modified"), strict=True):
        newest[key] = max(newest.get(key, ""), modified or "")
    for after in (merged(landed([]), first, second), merged(landed([]), second, first)):
        modified = [value or "" for value in texts(after, "last_modified")]
        assert dict(zip(keys(after), modified, strict=True)) == newest


@given(ROWS, ROWS)
def test_the_changes_of_a_merge_are_the_difference_between_before_and_after(first: list, second: list) -> None:
    before = merged(landed([]), first)
    outcome = merge_and_mark(before, merge.prepare(pulled(second)))
    state = dict(zip(keys(before), rows_of(before), strict=True))
    for change in outcome.changes:
        (key,) = keys(batch_of([change.after], landed_schema()))
        assert state.get(key) == change.before
        state[key] = change.after
    assert state == dict(zip(keys(outcome.rows), rows_of(outcome.rows), strict=True))


def test_an_older_version_is_stale_and_the_landed_row_stays() -> None:
    outcome = one_merge([row(attendance_status="tardy", modified=2)], [row(modified=1)])
    assert texts(outcome.rows, "attendance_status") == ["tardy"]
    assert outcome.counts == merge.Counts(stale=1)


def test_of_equal_ages_the_pulled_version_wins() -> None:
    outcome = one_merge([row(attendance_status="tardy", modified=2)], [row(modified=2)])
    assert texts(outcome.rows, "attendance_status") == ["present"]
    assert outcome.counts == merge.Counts(changed=1)


def test_no_age_is_the_oldest_age() -> None:
    outcome = one_merge([row(modified=1)], [row(attendance_status="tardy", modified=None)])
    assert texts(outcome.rows, "attendance_status") == ["present"]
    assert outcome.counts == merge.Counts(stale=1)


def test_a_row_that_clever_no_longer_has_is_marked_once_and_unmarked_when_it_returns() -> None:
    first = one_merge([row("a"), row("b")], [row("a")])
    assert texts(first.rows, "missing_since") == [None, SYNC]
    assert first.counts == merge.Counts(missing=1)
    later = merge_and_mark(first.rows, merge.prepare(pulled([row("a")])), instant(400))
    assert later.rows == first.rows
    assert later.counts == merge.Counts()
    back = merge_and_mark(first.rows, merge.prepare(pulled([row("a"), row("b")])))
    assert texts(back.rows, "missing_since") == [None, None]
    assert back.counts == merge.Counts(returned=1)


def test_a_marked_row_that_returns_in_an_older_version_is_stale_and_unmarked() -> None:
    marked = landed([{**row(attendance_status="tardy", modified=2), "missing_since": SYNC}])
    outcome = merge_and_mark(marked, merge.prepare(pulled([row(modified=1)])))
    assert texts(outcome.rows, "missing_since") == [None]
    assert texts(outcome.rows, "attendance_status") == ["tardy"]
    assert outcome.counts == merge.Counts(stale=1, returned=1)


def test_an_empty_whole_pull_marks_everything_and_removes_nothing() -> None:
    outcome = one_merge([row("a"), row("b")], [])
    assert texts(outcome.rows, "student_id") == ["a", "b"]
    assert outcome.counts == merge.Counts(missing=2)


def test_a_pull_that_is_not_whole_marks_nothing() -> None:
    outcome = one_merge([row("a"), row("b")], [row("c")], whole=False)
    assert texts(outcome.rows, "missing_since") == [None] * 3
    assert outcome.counts == merge.Counts(added=1)


def test_merging_alone_never_marks_and_says_what_did_not_come_back() -> None:
    outcome = merge.merge(landed([row("a"), row("b")]), merge.prepare(pulled([row("a")])))
    assert texts(outcome.rows, "missing_since") == [None, None]
    assert outcome.unseen == {("b", "daily", "", "")}
    assert outcome.counts == merge.Counts()


def test_a_row_that_clever_touched_after_the_walk_began_is_never_marked() -> None:
    later = "2026-04-20T01:00:00.000001Z"
    for touched in ({"created": later}, {"last_modified": later}):
        outcome = one_merge([row("a"), row("b", **touched)], [row("a")])
        assert texts(outcome.rows, "missing_since") == [None, None]
    assert texts(one_merge([row("a"), row("b", created=ASKED_AT)], [row("a")]).rows, "missing_since") == [None, SYNC]


def test_nothing_follows_of_rows_that_a_faster_pull_landed_after_this_one_began() -> None:
    later = "2026-04-20T01:00:00.000001Z"
    before = landed([row("a"), row("b", created=later), row("c", last_modified=later)])
    missed = merge.merge(before, merge.prepare(pulled([row("a")])))
    found = merge.evidence(before, missed.unseen, missing_since=SYNC, asked_at=ASKED_AT)
    assert (found.live, found.unseen, found.fresh) == (1, 0, 0)


def test_a_row_that_came_or_changed_since_it_was_missed_is_not_marked() -> None:
    before = landed([row("a"), row("b")])
    missed = merge.merge(before, merge.prepare(pulled([])))
    found = merge.evidence(before, missed.unseen, missing_since=SYNC, asked_at=ASKED_AT)
    since = landed([row("a", attendance_status="tardy"), row("b"), row("c")])
    assert texts(merge.mark(since, found, missing_since=SYNC).rows, "missing_since") == [None, SYNC, None]


def test_nothing_is_marked_if_nobody_knows_when_it_was_asked_for() -> None:
    before = landed([row("a", created=None, last_modified=None)])
    missed = merge.merge(before, merge.prepare(pulled([])))
    found = merge.evidence(before, missed.unseen, missing_since=SYNC, asked_at="")
    assert merge.mark(before, found, missing_since=SYNC).counts.missing == 0


def test_rows_that_this_sync_marked_already_count_among_those_that_did_not_come_back() -> None:
    earlier = {**row("c"), "missing_since": instant(1)}
    before = landed([row("a"), {**row("b"), "missing_since": SYNC}, earlier])
    missed = merge.merge(before, merge.prepare(pulled([])))
    found = merge.evidence(before, missed.unseen, missing_since=SYNC, asked_at=ASKED_AT)
    assert (found.live, found.unseen, found.fresh) == (2, 2, 1)


def test_section_rows_without_a_section_are_told_apart_by_their_sis_id() -> None:
    without = [row(attendance_type="section", sis_id="x"), row(attendance_type="section", sis_id="y")]
    assert one_merge([], without).counts.added == 2
    daily = [row(sis_id="x"), row(sis_id="y")]
    assert one_merge([], daily).counts == merge.Counts(added=1, conflicts=1)


def test_a_daily_row_and_a_section_row_without_a_section_are_two_keys() -> None:
    assert one_merge([], [row(), row(attendance_type="section")]).counts.added == 2


def test_of_different_rows_with_one_key_the_newest_lands_and_the_others_conflict() -> None:
    pull = [row(attendance_status="tardy", modified=3), row(modified=1), row(modified=1)]
    ready = merge.prepare(pulled(pull))
    assert texts(ready.rows, "attendance_status") == ["tardy"]
    assert [conflict[4] for conflict in ready.conflicts] == ["present"]
    assert ready.duplicates == 1


YEARS = [date(2027, 1, 1) + timedelta(days=number) for number in range(365)] + [
    date(2028, 1, 1) + timedelta(days=number) for number in range(366)
]


def test_the_edge_is_six_calendar_months_and_fourteen_days_before_clever_forgets() -> None:
    for day in YEARS:
        edge = next(
            day + timedelta(days=number)
            for number in range(400)
            if merge.is_past_edge(day, day + timedelta(days=number))
        )
        month, year = (day.month + 5) % 12 + 1, day.year + (day.month > 6)
        forgotten = (
            next(date(year, month, last) for last in range(day.day, 27, -1) if _exists(year, month, last))
            if day.day > 28
            else date(year, month, day.day)
        )
        assert edge == forgotten - timedelta(days=14)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


@given(st.sampled_from(YEARS), st.integers(0, 400))
def test_once_past_the_edge_a_day_stays_past_it(day: date, later: int) -> None:
    today = day + timedelta(days=later)
    if merge.is_past_edge(day, today):
        assert merge.is_past_edge(day, today + timedelta(days=1))


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2026, 12, 1), 1, date(2027, 1, 1)),
    ],
)
def test_months_are_added_by_the_calendar(day: date, months: int, expected: date) -> None:
    assert months_later(day, months) == expected
