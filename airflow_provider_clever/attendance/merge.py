"""Previous rows and pulled rows make the next rows: added, or replaced by a newer version; never removed.

Rows that a pull did not return stay as they are. Marking them is a step of its own, :func:`mark`, taken once it is
clear that they are gone (absence.py).

Pure: no clock, no storage. See "Merge" in docs/reference/landed-files.md for the rules in the user's words.
"""

from dataclasses import dataclass, fields
from datetime import date, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.attendance.absence import DayEvidence, token, tokens_of
from airflow_provider_clever.attendance.batches import (
    Row,
    batch_of,
    landed_schema,
    pulled_schema,
    rows_of,
    with_marks,
)
from airflow_provider_clever.attendance.content import is_in_key_order
from airflow_provider_clever.attendance.keys import Key, keys
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, PULLED_COLUMNS
from airflow_provider_clever.dates import EDGE_DAYS, RETAINED_MONTHS, months_later

if TYPE_CHECKING:
    import pyarrow as pa

_STUDENT: Final = PULLED_COLUMNS.index("student_id")  # this and the next two stand there in landed rows too
_CREATED: Final = PULLED_COLUMNS.index("created")
_MODIFIED: Final = PULLED_COLUMNS.index("last_modified")
_MARK: Final = LANDED_COLUMNS.index("missing_since")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What merging found, in rows.

    :param added: keys that had not been landed.
    :param changed: landed rows that a version not older than theirs replaced.
    :param stale: landed rows that stayed because the pulled version was older.
    :param missing: landed rows newly marked, because Clever no longer has them (only :func:`mark` counts these).
    :param returned: marked rows that Clever has again.
    :param expired: landed rows that Clever no longer has and that stay unmarked, being past the retention edge.
    :param conflicts: pulled rows set aside for a newer one of the same key.
    :param duplicates: pulled rows that repeated another of the same pull word for word.
    """

    added: int = 0
    changed: int = 0
    stale: int = 0
    missing: int = 0
    returned: int = 0
    expired: int = 0
    conflicts: int = 0
    duplicates: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in COUNT_NAMES})


COUNT_NAMES: Final = tuple(field.name for field in fields(Counts))


class Prepared(NamedTuple):
    """One pull of one partition, sorted by key and free of repeated keys.

    :param rows: in LANDED_COLUMNS, none marked.
    :param conflicts: rows set aside for a newer one of the same key, in PULLED_COLUMNS.
    :param duplicates: how many rows repeated another one word for word.
    """

    rows: "pa.RecordBatch"
    conflicts: list[Row]
    duplicates: int

    def __repr__(self) -> str:
        return f"Prepared({self.rows.num_rows} rows)"


class Change(NamedTuple):
    """One row before and after, in LANDED_COLUMNS; ``before`` is None for a row that is new."""

    before: Row | None
    after: Row

    def __repr__(self) -> str:
        return "Change(...)"


class Merged(NamedTuple):
    """The next rows of a partition, and how they differ from the previous ones.

    :param unseen: keys of previous rows, marked ones among them, that are not among the pulled ones.
    """

    rows: "pa.RecordBatch"
    counts: Counts
    changes: list[Change]
    unseen: frozenset[Key] = frozenset()

    def __repr__(self) -> str:
        return f"Merged({self.rows.num_rows} rows, {self.counts})"


def prepare(pulled: "pa.RecordBatch") -> Prepared:
    """Sort one pull and settle repeated keys: the newest row stays, whatever the order they came in.

    Of rows with one key and one ``last_modified`` the greatest by its values stays, so that chance decides nothing.

    :param pulled: the rows, in PULLED_COLUMNS.
    """
    if is_in_key_order(pulled):
        return Prepared(with_marks(pulled), [], 0)
    by_key: dict[Key, set[Row]] = {}
    for key, row in zip(keys(pulled), rows_of(pulled), strict=True):
        by_key.setdefault(key, set()).add(row)
    newest, conflicts = [], []
    for key in sorted(by_key):
        *older, best = sorted(by_key[key], key=_age)
        newest.append(best)
        conflicts.extend(older)
    settled = with_marks(batch_of(newest, pulled_schema()))
    return Prepared(settled, conflicts, pulled.num_rows - len(newest) - len(conflicts))


def _age(row: Row) -> tuple[str, tuple[str, ...]]:
    return row[_MODIFIED] or "", tuple(value or "" for value in row)


def merge(previous: "pa.RecordBatch", pulled: Prepared) -> Merged:
    """The rows that shall stand after this pull, sorted by key.

    :param previous: the landed rows, in LANDED_COLUMNS; possibly none.
    :param pulled: the pull.
    """
    counts = dict.fromkeys(COUNT_NAMES, 0)
    counts.update(conflicts=len(pulled.conflicts), duplicates=pulled.duplicates)
    next_rows = dict(zip(keys(previous), rows_of(previous), strict=True))
    fresh_rows = dict(zip(keys(pulled.rows), rows_of(pulled.rows), strict=True))
    unseen = frozenset(next_rows.keys() - fresh_rows.keys())
    changes = _take_pulled(next_rows, fresh_rows, counts)
    ordered = [row for _, row in sorted(next_rows.items(), key=itemgetter(0))]
    return Merged(batch_of(ordered, landed_schema()), Counts(**counts), changes, unseen)


def _take_pulled(next_rows: dict[Key, Row], fresh_rows: dict[Key, Row], counts: dict[str, int]) -> list[Change]:
    changes = []
    for key, fresh in fresh_rows.items():
        landed = next_rows.get(key)
        if landed == fresh:
            continue
        if landed is None:
            counts["added"] += 1
        winner = fresh if landed is None else _newer(landed, fresh, counts)
        if winner != landed:
            next_rows[key] = winner
            changes.append(Change(landed, winner))
    return changes


def _newer(landed: Row, fresh: Row, counts: dict[str, int]) -> Row:
    # Canonical timestamps compare as text (batches.Row); null is oldest; a tie goes to the pulled row.
    if landed[_MARK] is not None:
        counts["returned"] += 1
    unmarked = (*landed[:_MARK], None, *landed[_MARK + 1 :])
    if (fresh[_MODIFIED] or "") < (landed[_MODIFIED] or ""):
        counts["stale"] += 1
        return unmarked
    counts["changed"] += fresh != unmarked
    return fresh


def evidence(previous: "pa.RecordBatch", unseen: frozenset[Key], *, missing_since: str, asked_at: str) -> DayEvidence:
    """What a whole pull of a day says about the rows that stood there before it.

    A row that is marked with this very sync counts as one that stood there and did not come back: a try of this work
    that was killed has marked it, and its retry must decide as it did. Nothing follows of a row that Clever first saw,
    or last changed, after the walk had begun: a pull beside this one has landed it.

    :param previous: the landed rows before the pull, in LANDED_COLUMNS.
    :param unseen: keys of those that were not among the pulled ones.
    :param missing_since: what this pull would mark rows with.
    :param asked_at: when the first page of the walk was asked for.
    """
    live = fresh = 0
    tokens = []
    for key, row in zip(keys(previous), rows_of(previous), strict=True):
        is_unseen = key in unseen
        if row[_MARK] is not None and not (is_unseen and row[_MARK] == missing_since):
            continue
        if is_unseen and asked_at and _age_of(row) > asked_at:
            continue
        live += 1
        if is_unseen:
            fresh += row[_MARK] is None
            tokens.append(_token(row))
    return DayEvidence(live=live, unseen=len(tokens), fresh=fresh, tokens=b"".join(tokens), asked_at=asked_at)


def mark(previous: "pa.RecordBatch", found: DayEvidence, *, missing_since: str) -> Merged:
    """Mark the rows that a pull did not return, if they are still what they were then.

    Left alone are rows that came, changed or were marked since, and rows that Clever first saw, or last changed, after
    the walk that missed them had begun.

    :param previous: the landed rows, in LANDED_COLUMNS.
    :param found: which rows; its tokens name them.
    :param missing_since: the mark.
    """
    wanted = tokens_of(found) if found.asked_at else set()
    next_rows, changes = [], []
    for row in rows_of(previous):
        after = row
        if row[_MARK] is None and _age_of(row) <= found.asked_at and _token(row) in wanted:
            after = (*row[:_MARK], missing_since, *row[_MARK + 1 :])
            changes.append(Change(row, after))
        next_rows.append(after)
    return Merged(batch_of(next_rows, landed_schema()), Counts(missing=len(changes)), changes)


def unmarked(previous: "pa.RecordBatch", unseen: frozenset[Key]) -> int:
    """How many of these rows are not marked."""
    is_unmarked = previous["missing_since"].is_null().to_pylist()
    return sum(mark and key in unseen for key, mark in zip(keys(previous), is_unmarked, strict=True))


def _age_of(row: Row) -> str:
    """When Clever last touched a row; the empty text if it does not say."""
    return max(row[_CREATED] or "", row[_MODIFIED] or "")


def _token(row: Row) -> bytes:
    return token(row[_STUDENT] or "", (*row[:_MARK], *row[_MARK + 1 :]))


def is_past_edge(attendance_date: date, today: date) -> bool:
    """Whether Clever may have forgotten the day already, or is about to, so that nothing follows from an absence."""
    return months_later(attendance_date, RETAINED_MONTHS) <= today + timedelta(days=EDGE_DAYS)
