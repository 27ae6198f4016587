"""The rows of one month of a district, as they stand landed, in order and a few partitions at a time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.attendance.batches import landed_schema
from airflow_provider_clever.exceptions import CleverPartitionError
from airflow_provider_clever.lake.denied_rows import without_denied
from airflow_provider_clever.lake.forgotten import Denied
from airflow_provider_clever.lake.formats import FORMATS, DamagedPartitionError, Landed, NewerPartitionError
from airflow_provider_clever.lake.layout import PartitionName
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.cursors import fingerprint_of
from airflow_provider_clever.table.landed_months import partitions_of

if TYPE_CHECKING:
    import pyarrow as pa

READ_AHEAD: Final = 8
"""How many partitions are read at once, and are in memory; each is one school's day."""


class MonthName(NamedTuple):
    """A month of a district.

    :param month: ``YYYY-MM``.
    """

    district_id: str
    month: str


class MonthRows:
    """What stands landed of a month, live rows and marked ones, for a table to take in.

    :param objects: the destination.
    :param name: which month.
    :param denied: tells students who are forgotten; their rows are left out. Default: nobody is.
    """

    def __init__(self, objects: Objects, name: MonthName, denied: Denied | None = None) -> None:
        self.name = name
        self._objects = objects
        self._denied = denied
        self._fingerprint: str | None = None
        self.rows = 0

    @property
    def schema(self) -> "pa.Schema":
        """The columns of each batch: today's, whatever the rows were landed under."""
        return landed_schema()

    @property
    def fingerprint(self) -> str:
        """Of what :meth:`batches` has read the last time, which must have come to its end."""
        if self._fingerprint is None:
            msg = "the rows of the month have not been read to their end"
            raise AssertionError(msg)
        return self._fingerprint

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows in the order of date, school and key, one batch for each school's day; none is empty.

        Each partition is read as it stands when its turn comes. One that another writer changes later is found by the
        fingerprint, which is that of what was read.

        :raises CleverPartitionError: a partition is damaged; it is named.
        :raises CleverLandingError: the destination cannot be read.
        """
        self._fingerprint, self.rows = None, 0
        read: list[tuple[str, str]] = []
        paths = partitions_of(self._objects, self.name.district_id, self.name.month)
        for path, landed in in_order(lambda one: self._read(*one), paths.items(), most=READ_AHEAD):
            if landed is None:
                continue  # it was forgotten meanwhile
            read.append((path, landed.content_hash))
            rows = landed.rows if self._denied is None else without_denied(landed.rows, self._denied)
            if rows.num_rows:
                self.rows += rows.num_rows
                yield rows
        self._fingerprint = fingerprint_of(read)

    def _read(self, path: str, name: PartitionName) -> tuple[str, Landed | None]:
        found = self._objects.read(path)
        if found is None:
            return path, None
        try:
            landed = FORMATS[name.file_format].read(found[0])
        except DamagedPartitionError as error:
            raise _damaged(f"{self._objects.root}/{path}", error) from None
        if landed.marked_hash not in (None, landed.content_hash):
            raise _damaged(f"{self._objects.root}/{path}", "its rows are not those that were written")
        return path, landed


def _damaged(path: str, why: object) -> CleverPartitionError:
    next_step = (
        "Upgrade airflow-provider-clever here, then run again; nothing is wrong with the file"
        if isinstance(why, NewerPartitionError)
        else "Restore an earlier version of it, or move it away and pull its day again while Clever still has it. The "
        "table keeps the month as it was until then"
    )
    return CleverPartitionError(f"{path} cannot be read: {why}. {next_step}")
