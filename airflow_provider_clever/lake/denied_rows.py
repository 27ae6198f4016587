"""Keeps rows of forgotten students out of a destination."""

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.keys import Key, keys
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.attendance.schema import Column, names
from airflow_provider_clever.lake.forgotten import Denied, Forgotten, key_of, read_forgotten
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa


STUDENT: Final = "student_id"


def _is_open(column: Column) -> bool:
    return column.kind in ("id", "text", "json") and column.role != "partition" and column.name != STUDENT


MENTIONS: Final = names(_is_open)
"""Columns of a row about one student that may mention another: what districts fill as they like."""
_JSON: Final = frozenset(names(lambda column: column.kind == "json"))
_IN_KEYS: Final = frozenset(names(lambda column: column.role == "key")) | {"sis_id"}


class DeniedRows:
    """Keeps out rows of forgotten students, and counts them. Safe to use from several threads.

    :param district_id: whose rows.
    """

    def __init__(self, district_id: str) -> None:
        self._district_id = district_id
        self._lock = threading.Lock()
        self.denied: Denied | None = None
        self.count = 0

    def read(self, objects: Objects, forget_secret: str | None = None) -> Forgotten:
        """Read the requests to forget at a destination, and keep those rows out.

        :param forget_secret: as for :meth:`follow`.
        :raises CleverSettingsError: as :meth:`follow`.
        :raises CleverLandingError: it cannot be read.
        """
        found = read_forgotten(objects, self._district_id)
        self.follow(found, forget_secret)
        return found

    def follow(self, forgotten: Forgotten, forget_secret: str | None = None) -> bool:
        """Keep out what is forgotten now, and give whether that has changed.

        :param forget_secret: makes the keyed hashes of students. Default: what the environment holds.
        :raises CleverSettingsError: the district was forgotten, or students were and the key is missing.
        """
        forgotten.refuse_tombstone()
        before, self.denied = self.denied, forgotten.denied(key_of(forget_secret, self._district_id))
        return self.denied != before

    def admitted(self, day: PulledDay) -> PulledDay:
        """Give the day without rows of these students and without mentions of them."""
        denied = self.denied
        if denied is None:
            return day
        rows = without_denied(day.rows, denied)
        self._note(day.rows.num_rows - rows.num_rows)
        return day._replace(rows=rows)

    def admitted_rejects(self, rejected: Sequence[RejectedRow]) -> Sequence[RejectedRow]:
        """Give the rows that cannot land and are not about one of these students."""
        denied = self.denied
        if denied is None:
            return rejected
        kept = [one for one in rejected if not denied.is_rejected(_json_or_none(one.raw), one.raw)]
        self._note(len(rejected) - len(kept))
        return kept

    def unseen(self, keys: frozenset[Key]) -> frozenset[Key]:
        """Give the keys of rows that did not come back, without rows that were kept out; a sweep removes those."""
        denied = self.denied
        return keys if denied is None else frozenset(key for key in keys if not denied.is_student(key[0]))

    def _note(self, rows: int) -> None:
        with self._lock:
            self.count += rows


def without_denied(batch: "pa.RecordBatch", denied: Denied) -> "pa.RecordBatch":
    """Give the rows without those of these students and without mentions of them."""
    import pyarrow as pa

    stays = [not denied.is_student(student) for student in batch["student_id"].to_pylist()]
    return redacted(batch if all(stays) else batch.filter(pa.array(stays, pa.bool_())), denied)


def redacted(batch: "pa.RecordBatch", denied: Denied) -> "pa.RecordBatch":
    """Give rows of others without mentions of these students, in the order of their keys."""
    import pyarrow as pa

    changed: set[str] = set()
    for name in MENTIONS:
        if new := _instead(batch, name, denied):
            place = batch.schema.get_field_index(name)
            field = batch.schema.field(place)
            column = [new.get(value, value) for value in batch.column(place).to_pylist()]
            batch = batch.set_column(place, field, pa.array(column, field.type))
            changed.add(name)
    if changed & _IN_KEYS:
        found = keys(batch)
        batch = batch.take(pa.array(sorted(range(len(found)), key=found.__getitem__), pa.int64()))
    return batch


def redacted_value(name: str, value: str, denied: Denied) -> str:
    """Give the value of a column of :data:`MENTIONS` without mentions of these students."""
    return denied.redacted_json(value) if name in _JSON else denied.redacted(value)


def mentions(batch: "pa.RecordBatch", denied: Denied) -> bool:
    """Whether a row names one of these students, as its own or in one of :data:`MENTIONS`.

    :param batch: rows in the columns of any schema version.
    """
    students = batch[STUDENT].to_pylist()
    if any(student is not None and denied.is_student(student) for student in students):
        return True
    return any(_instead(batch, name, denied) for name in MENTIONS if name in batch.schema.names)


def _instead(batch: "pa.RecordBatch", name: str, denied: Denied) -> dict[str, str]:
    """The values of a column that mention these students, each with what takes its place."""
    column = batch[name]
    if column.null_count == batch.num_rows:
        return {}
    found = ((value, redacted_value(name, value, denied)) for value in column.unique().to_pylist() if value)
    return {value: new for value, new in found if new != value}


def _json_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
