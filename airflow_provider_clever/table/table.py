"""The interface that every kind of table implements: Iceberg and monthly Parquet.

The landed partitions are the source, and a table is made of them: a month of a district is always replaced as a whole,
by what has landed now. The district's cursor records what a month was made of, and the table keeps it with the rows. So
after a kill, a repetition or two updates at once, the next update makes exactly the months again that differ.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_clever.table.cursors import Cursor, CursorUpdate
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.schools import SchoolTable

File = TypeVar("File")


@dataclass(frozen=True, slots=True)
class StagedMonth(Generic[File]):
    """A month that is written but not committed.

    :param month: its rows, which were read to the end; they can be read again.
    :param file: what the table needs to commit it.
    :param fingerprint: the fingerprint of what was read.
    :param rows: how many rows it holds.
    """

    month: MonthRows
    file: File
    fingerprint: str
    rows: int

    @property
    def name(self) -> MonthName:
        """The month."""
        return self.month.name


class Table(Protocol):
    """A table that is made of the partitions of one destination."""

    @property
    def months_per_commit(self) -> int:
        """How many staged months go into one commit at most."""

    @property
    def registration(self) -> Mapping[str, str] | None:
        """What ``forget`` needs to find the table, with its ``kind`` and without secrets. None: the table is at the
        destination itself."""

    @property
    def schools(self) -> SchoolTable | None:
        """The table of schools beside it; None: there is none but the files at the destination."""

    def cursors(self, district_ids: Collection[str] | None) -> Mapping[str, Cursor]:
        """Give what the months of these districts were made of; a district that is not in the table has no cursor.

        :param district_ids: the districts; None: all in the table.
        :raises CleverLandingError: the table cannot be read, or a newer version wrote it.
        """

    def stage(self, month: MonthRows) -> StagedMonth[Any]:
        """Write a month without committing it, at constant memory. It is called from another thread than the rest.

        :raises CleverPartitionError: a partition of it is damaged; nothing is left behind.
        :raises CleverLandingError: the destination cannot be read, or the table not written.
        """

    def commit(
        self,
        staged: Sequence[StagedMonth[Any]],
        removed: Collection[MonthName],
        cursors: Mapping[str, CursorUpdate],
    ) -> None:
        """Replace these months, remove others, and keep the cursors, all in one commit.

        A table that cannot do that replaces one month after another, and then writes the cursors. Of two commits at the
        same time the later one wins, and the cursor says what its months were made of.

        :param staged: of several districts.
        :param removed: months of which no partition is left; one that is not in the table counts as removed.
        :param cursors: the updates of all these districts, applied to the cursor at the time of the commit, again with
            each attempt. A district without a staged or removed month may have one, too.
        :raises CleverLandingError: the table cannot be written.
        """

    def forget_past(self, district_id: str) -> Sequence[str]:
        """Remove all that the table keeps of its earlier states.

        :returns: what could not be removed, each with the next step.
        """
