"""Landing a day as an Arrow batch leaves and says what landing the same day in plain columns does."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_clever.attendance.batches import BATCH_COLUMNS
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.exceptions import CleverDataError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.store import Destination, PartitionOutcome, PullContext
from tests.lake.builders import DAY, DISTRICT, SCHOOL, context, day, land_and_mark, pulled, row
from tests.lake.emulators import Store

Rows = list[dict[str, Any]]

FIRST: Rows = [
    row("a"),
    row("b", attendance_type="section", section_id="s1", sis_id="B-1", excuse_code="é 😀 %s {}"),
    row("b", attendance_type="section", section_id="s2", sis_id="B-2", modified=3),
    row("c", last_modified=None, created=None),
]
CHANGED = [FIRST[0] | row("a", excuse_code="ILL", modified=5), *FIRST[1:]]
STALE = [FIRST[0], FIRST[1], row("b", attendance_type="section", section_id="s2", modified=1), FIRST[3]]
SECTIONS = [row("a", attendance_type="section", sis_id=name) for name in ("A-1", "A-2", "A-2")]
OUT_OF_ORDER = [*FIRST[2:], *FIRST[:2]]
CONFLICTS = [FIRST[0], FIRST[0] | row("a", excuse_code="newer", modified=9), *FIRST[1:]]

STORIES: dict[str, list[Rows]] = {
    "a first landing": [FIRST],
    "the same again": [FIRST, FIRST],
    "a row is new": [FIRST[1:], FIRST],
    "a row has changed": [FIRST, CHANGED],
    "a row has an older version": [FIRST, STALE],
    "a row is missing": [FIRST, FIRST[1:]],
    "a row returns as it was": [FIRST, FIRST[1:], FIRST],
    "a row returns changed": [FIRST, FIRST[1:], CHANGED],
    "every row is missing": [FIRST, [], FIRST],
    "rows out of order": [OUT_OF_ORDER],
    "the same rows out of order": [FIRST, OUT_OF_ORDER, CHANGED],
    "a row that comes twice": [[FIRST[0], *FIRST], FIRST],
    "two rows with one key": [CONFLICTS, CONFLICTS, FIRST],
    "sections without an id": [SECTIONS, SECTIONS[:2]],
    "values that hold separators": [[row("a", excuse_code="\x1f"), row("b", sis_id="\x1e")]] * 2,
    "texts that must be escaped": [[row("a", excuse_code='"\\\n'), row("b", sis_id="%s {}")]] * 2,
    "no rows at all": [[]],
}


def as_batch(plain: PulledDay) -> PulledDay:
    """The same day as an Arrow batch, if a batch may hold it (attendance/batches.py)."""
    text = "".join(value or "" for column in plain.columns.values() for value in column)
    if not plain.columns["student_id"] or not {*text}.isdisjoint({*map(chr, range(32)), '"', "\\"}):
        return plain
    arrays = [pa.array(plain.columns[name], pa.string()) for name in BATCH_COLUMNS]
    return plain._replace(columns=pa.record_batch(arrays, names=list(BATCH_COLUMNS)))


def as_it_is(plain: PulledDay) -> PulledDay:
    return plain


def everything(store: Store) -> dict[str, bytes]:
    """All files but what is no one else's business: locks, and what the preflight tried the disk on."""
    fs = store.filesystem()
    paths = [path for path in fs.find(store.root) if "/local/" not in path]
    return {path.partition(store.root)[2].lstrip("/"): fs.cat_file(path) for path in paths}


def landed(
    store: Store, file_format: str, story: list[Rows], form: Callable[[PulledDay], PulledDay], **facts: Any
) -> tuple[list[PartitionOutcome], list[dict[str, bytes]]]:
    """The outcome of each landing of a story, and all files after it."""
    lake = Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format=file_format)
    lake.check()
    outcomes, files = [], []
    for number, found in enumerate(story):
        now = context(
            idempotency_key=IdempotencyKey.of(f"night {number}", month="2026-04"),
            sync_before=f"2026-04-{10 + number}T03:00:00.000000Z",
            write_changes=facts.get("write_changes", False),
        )
        outcomes.append(land_and_mark(lake, form(day(found, whole=facts.get("whole", True))), now))
        files.append(everything(store))
    return outcomes, files


@pytest.mark.parametrize("write_changes", [False, True], ids=["rows only", "changes too"])
@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_batch_lands_as_plain_columns_do(
    memory: Store, story: list[Rows], file_format: str, write_changes: bool
) -> None:
    store = memory.below(uuid.uuid4().hex)
    plain = landed(store.below("plain"), file_format, story, as_it_is, write_changes=write_changes)
    in_arrow = landed(store.below("arrow"), file_format, story, as_batch, write_changes=write_changes)
    assert in_arrow == plain


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_day_that_comes_in_the_one_form_and_then_in_the_other_is_the_same_day(
    memory: Store, story: list[Rows]
) -> None:
    store = memory.below(uuid.uuid4().hex)
    plain = landed(store.below("plain"), "jsonl", story, as_it_is)
    for forms in ([as_batch, as_it_is], [as_it_is, as_batch]):
        turns = cycle(forms)
        assert (
            landed(store.below(forms[0].__name__), "jsonl", story, lambda one, turns=turns: next(turns)(one)) == plain
        )


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_batch_lands_on_a_disk_as_plain_columns_do(local: Store, file_format: str) -> None:
    story = [FIRST, CHANGED[1:], CONFLICTS]
    plain = landed(local.below("plain"), file_format, story, as_it_is, write_changes=True)
    assert landed(local.below("arrow"), file_format, story, as_batch, write_changes=True) == plain


@pytest.mark.parametrize("story", ["a row is missing", "a row has changed", "every row is missing"])
def test_a_batch_that_is_not_the_whole_day_marks_as_little_as_plain_columns(memory: Store, story: str) -> None:
    store = memory.below(story.replace(" ", "-"))
    plain = landed(store.below("plain"), "parquet", STORIES[story], as_it_is, whole=False)
    in_arrow = landed(store.below("arrow"), "parquet", STORIES[story], as_batch, whole=False)
    assert in_arrow == plain
    assert all(outcome.counts.missing == 0 for outcome in in_arrow[0])


def test_the_stories_are_what_they_are_called(memory: Store) -> None:
    ends: dict[str, PartitionOutcome] = {}
    for number, (name, story) in enumerate(STORIES.items()):
        ends[name] = landed(memory.below(f"story-{number}"), "parquet", story, as_batch)[0][-1]
    counts = {name: end.counts for name, end in ends.items()}
    assert (ends["a first landing"].outcome, ends["a first landing"].rows, counts["a first landing"].added) == (
        *("written", 4, 4),
    )
    assert ends["the same again"].outcome == ends["values that hold separators"].outcome == "unchanged"
    assert ends["no rows at all"].outcome == "absent"
    assert (counts["a row is new"].added, counts["a row has changed"].changed) == (1, 1)
    assert (counts["a row has an older version"].stale, counts["a row is missing"].missing) == (1, 1)
    assert (counts["a row returns as it was"].returned, counts["a row returns as it was"].changed) == (1, 0)
    assert (counts["a row returns changed"].returned, counts["a row returns changed"].changed) == (1, 1)
    assert counts["every row is missing"].returned == 4
    assert ends["rows out of order"].content_hash == ends["a first landing"].content_hash


def test_duplicates_and_conflicts_of_a_batch_are_counted_and_set_aside(memory: Store) -> None:
    [twice, _], _ = landed(memory.below("twice"), "parquet", STORIES["a row that comes twice"], as_batch)
    assert (twice.counts.duplicates, twice.rows, twice.received) == (1, 4, 5)
    [first, again, _], _ = landed(memory.below("conflicts"), "parquet", STORIES["two rows with one key"], as_batch)
    assert (first.counts.conflicts, len(first.rejected), again.outcome) == (1, 1, "unchanged")
    assert '"excuse_code"' not in first.rejected[0].raw


@pytest.mark.parametrize("name", ["district_id", "school_id", "attendance_date"])
def test_a_batch_with_a_row_of_another_partition_is_refused_before_anything_is_written(
    memory: Store, name: str
) -> None:
    store = memory.below(f"stranger-{name}")
    lake = Destination(store.filesystem(), store.root, district_id=DISTRICT)
    other = "2026-04-02" if name == "attendance_date" else "somebody-else"
    mixed = as_batch(PulledDay(SCHOOL, DAY, pulled([row("a"), row("b", **{name: other})]), whole=True))
    with pytest.raises(CleverDataError, match=f"another {name}") as caught:
        lake.land(mixed, context=context())
    assert "somebody-else" not in str(caught.value)
    assert everything(store) == {}


def test_nothing_of_a_batch_is_in_the_representation_of_its_day() -> None:
    assert repr(as_batch(day(FIRST))) == f"PulledDay({SCHOOL}, {DAY}, 4 rows, whole=True)"


def test_the_first_day_of_a_district_without_a_sync_lands_alike(memory: Store) -> None:
    outcomes = []
    for form in (as_it_is, as_batch):
        store = memory.below(f"no-sync-{form.__name__}")
        lake = Destination(store.filesystem(), store.root, district_id=DISTRICT)
        never = PullContext(today=context().today)
        outcomes.append([land_and_mark(lake, form(day(found)), never) for found in (FIRST, FIRST[1:])])
    assert outcomes[0] == outcomes[1]
