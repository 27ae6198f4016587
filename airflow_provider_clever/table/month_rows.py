"""Reads the landed rows of one month of a district in order, a few partitions at a time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.batches import landed_schema
from airflow_provider_clever.lake.denied_rows import without_denied
from airflow_provider_clever.lake.forgotten import Denied
from airflow_provider_clever.lake.formats import FORMATS, DamagedPartitionError, Landed
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.cursors import fingerprint_of
from airflow_provider_clever.table.landed_months import MonthName, Partition, damaged, partitions_of

if TYPE_CHECKING:
    import pyarrow as pa

READ_AHEAD: Final = 16
"""How many partitions are read at once and held in memory; each is one school's day."""


class MonthRows:
    """The landed rows of a month, live rows and marked ones, for a table.

    :param objects: the destination.
    :param name: the month.
    :param denied: recognizes forgotten students; their rows are left out. Default: no student is forgotten.
    """

    def __init__(self, objects: Objects, name: MonthName, denied: Denied | None = None) -> None:
        self.name = name
        self._objects = objects
        self._denied = denied
        self._fingerprint: str | None = None
        self.rows = 0

    @property
    def schema(self) -> "pa.Schema":
        """The columns of each batch: those of today's schema, whatever the schema of the landed files is."""
        return landed_schema()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of what :meth:`batches` read the last time; it must have been read to the end."""
        if self._fingerprint is None:
            msg = "the rows of the month have not been read to their end"
            raise AssertionError(msg)
        return self._fingerprint

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Read the rows in the order of date, school and key, one batch for each school's day; none is empty.

        The fingerprint is that of what was read, so the next update notices a partition that another writer has changed
        since.

        :raises CleverPartitionError: a partition is damaged; it is named.
        :raises CleverLandingError: the destination cannot be read.
        """
        self._fingerprint, self.rows = None, 0
        read: list[tuple[str, str]] = []
        for path, landed in in_order(self._read, partitions_of(self._objects, self.name), most=READ_AHEAD):
            if landed is None:
                continue  # it was forgotten meanwhile
            read.append((path, landed.content_hash))
            rows = landed.rows if self._denied is None else without_denied(landed.rows, self._denied)
            if rows.num_rows:
                self.rows += rows.num_rows
                yield rows
        self._fingerprint = fingerprint_of(read)

    def _read(self, one: Partition) -> tuple[str, Landed | None]:
        found = self._objects.read(one.path)
        if found is None:
            return one.path, None
        try:
            landed = FORMATS[one.name.file_format].read(found[0])
        except DamagedPartitionError as error:
            raise damaged(f"{self._objects.root}/{one.path}", error) from None
        if landed.marked_hash not in (None, landed.content_hash):
            raise damaged(f"{self._objects.root}/{one.path}", "its rows are not those that were written")
        return one.path, landed
