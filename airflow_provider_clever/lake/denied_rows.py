"""Keeps rows of forgotten students out of a destination."""

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_clever.attendance.keys import Key
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.attendance.schema import EXTRA
from airflow_provider_clever.lake.forgotten import Denied, Forgotten, key_of, read_forgotten
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa


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
    """Give rows of others without mentions of these students in the fields that have no column."""
    place = batch.schema.get_field_index(EXTRA.name)
    extras = batch.column(place).to_pylist() if batch.column(place).null_count < batch.num_rows else []
    if not any(extra is not None and denied.mentions(extra) for extra in extras):
        return batch
    import pyarrow as pa

    texts = pa.array([extra and denied.redacted(extra) for extra in extras], batch.schema.field(place).type)
    return batch.set_column(place, batch.schema.field(place), texts)


def _json_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
