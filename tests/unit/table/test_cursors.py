"""What a table remembers of the months that it was made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.table.cursors import Cursor, CursorUpdate, MonthCursor, fingerprint_of

MONTHS = st.sampled_from(["2026-01", "2026-02", "2026-03"])
ENTRIES = st.builds(
    MonthCursor, st.sampled_from(["1-a", "1-b"]), st.none() | st.sampled_from("mn"), st.none() | st.just("v")
)
CURSORS = st.builds(Cursor, st.dictionaries(MONTHS, ENTRIES, min_size=1), st.none() | st.just("2026-04-20"))
UPDATES = st.builds(
    CursorUpdate,
    written=st.dictionaries(MONTHS, ENTRIES),
    removed=st.frozensets(MONTHS),
    marks=st.dictionaries(MONTHS, ENTRIES),
)


@given(CURSORS)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    assert Cursor.from_json(cursor.to_json()) == cursor


@pytest.mark.parametrize(
    "damaged", ["", "null", "[]", "{}", '{"cursor_version": 1, "months": {"x": []}}', "\x00", "[" * 10**5]
)
def test_a_damaged_cursor_is_empty(damaged: str) -> None:
    assert Cursor.from_json(damaged) == Cursor()


@pytest.mark.parametrize(
    "newer", ['{"cursor_version":2,"checked_on":null,"months":{}}', Cursor({"2026-01": MonthCursor("99-a")}).to_json()]
)
def test_a_newer_versions_cursor_is_refused(newer: str) -> None:
    with pytest.raises(CleverLandingError, match="Upgrade"):
        Cursor.from_json(newer)


@given(CURSORS, UPDATES)
def test_a_commit_says_what_it_wrote_and_leaves_the_other_months_as_they_stand(
    standing: Cursor, update: CursorUpdate
) -> None:
    after = update.applied(standing)
    months = {} if after is None else after.months
    assert {month: months[month] for month in update.written} == update.written
    assert not (update.removed - update.written.keys()) & months.keys()
    for month in standing.months.keys() - update.written.keys() - update.removed:
        assert months[month].fingerprint == standing.months[month].fingerprint
        marked = update.marks.get(month)
        if marked is None or marked.fingerprint != standing.months[month].fingerprint:
            assert months[month] == standing.months[month]
        else:
            assert months[month] == standing.months[month]._replace(mark=marked.mark)


def test_nothing_is_left_of_a_district_whose_months_are_all_removed() -> None:
    standing = Cursor({"2026-01": MonthCursor("1-a")}, "2026-04-20")
    assert CursorUpdate(removed=frozenset(["2026-01"])).applied(standing) is None
    assert CursorUpdate().applied(None) is None


def test_a_fingerprint_follows_from_each_path_and_each_hash() -> None:
    partitions = [("a", "1" * 64), ("b", "2" * 64)]
    others = [partitions[:1], partitions[::-1], [("a", "1" * 64), ("b", "3" * 64)], [("a", "1" * 64), ("c", "2" * 64)]]
    assert len({fingerprint_of(one) for one in [partitions, *others]}) == 5
    assert fingerprint_of(partitions) == fingerprint_of([(path, hash_[:32]) for path, hash_ in partitions])
