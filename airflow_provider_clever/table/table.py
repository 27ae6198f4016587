"""What a table is to what feeds it: Iceberg, monthly Parquet, and what comes later.

The landed partitions are the truth, and a table is made of them: a month of a district is only ever replaced as a
whole, by what stands landed now. What a month was made of stands in the district's cursor, which the table keeps
together with the rows. So whatever is killed, done twice or done by two at once, the next update makes again what
differs, and nothing else.
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
    """A month that was written aside: no reader sees it until it is committed.

    :param month: its rows, which were read to their end; they can be read again.
    :param file: what the table needs to commit it.
    :param fingerprint: of what was read.
    :param rows: how many rows it holds.
    """

    month: MonthRows
    file: File
    fingerprint: str
    rows: int

    @property
    def name(self) -> MonthName:
        """Which month."""
        return self.month.name


class Table(Protocol):
    """A table that is fed from the partitions of one destination."""

    @property
    def months_per_commit(self) -> int:
        """So many staged months go into one commit at most."""

    @property
    def registration(self) -> Mapping[str, str] | None:
        """What ``forget`` needs to find the table again, without secrets, ``kind`` among it; None: it lies at the
        destination itself, where it is found."""

    @property
    def schools(self) -> SchoolTable | None:
        """The table of schools beside it; None: there is none but the files at the destination."""

    def cursors(self, district_ids: Collection[str] | None) -> Mapping[str, Cursor]:
        """What the months of these districts were made of; one that does not stand in the table has no cursor.

        :param district_ids: whose; None: all that stand in the table.
        :raises CleverLandingError: the table cannot be read, or a newer version wrote it.
        """

    def stage(self, month: MonthRows) -> StagedMonth[Any]:
        """Write a month aside, at constant memory. It is called from another thread than the rest.

        :raises CleverPartitionError: a partition of it is damaged; nothing is left behind.
        :raises CleverLandingError: the destination cannot be read, or the table not written.
        """

    def commit(
        self,
        staged: Sequence[StagedMonth[Any]],
        removed: Collection[MonthName],
        cursors: Mapping[str, CursorUpdate],
    ) -> None:
        """Replace these months, remove others, and keep the cursors: all at once, or nothing of it.

        Where a table cannot do that, each month at once, and its cursor after it. Two may commit at the same time: the
        later one wins, and the cursor says what its months were made of.

        :param staged: of several districts.
        :param removed: months that are landed no more; one that does not stand in the table is removed already.
        :param cursors: of all these districts, each to be applied to the cursor that stands when the commit is made,
            again with each try of it. There may be one of a district of which nothing is staged or removed.
        :raises CleverLandingError: the table cannot be written.
        """

    def forget_past(self, district_id: str) -> Sequence[str]:
        """Remove what the table keeps of its earlier states, so that nothing is left but the rows that it has now.

        :returns: what could not be removed, each in words with the next step.
        """
