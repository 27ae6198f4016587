"""The table of schools beside a table of attendance: its columns, and what it is to what feeds it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from airflow_provider_clever.attendance.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa

SCHOOL_COLUMNS: Final = (
    Column(name="district_id", kind="id", required=True, meaning="Clever's id of the district"),
    Column(name="school_id", kind="id", required=True, meaning="Clever's id of the school"),
    Column(name="name", kind="text", meaning="as last seen; null: no list of schools has named it yet"),
    Column(name="first_seen", kind="date", meaning="the date on which a run first knew of it"),
    Column(
        name="last_seen",
        kind="date",
        meaning="the last date on which the district's list named it; null: it is shared still",
    ),
)
"""None is about a student."""


class SchoolTable(Protocol):
    """A table with the schools of many districts, in the catalog of a table of attendance."""

    def replace(self, districts: "Mapping[str, pa.Table]", *, before_new: Callable[[Collection[str]], None]) -> None:
        """Replace the rows of these districts, all at once; nothing is written if they stand there already.

        :param districts: the rows of each, in :data:`SCHOOL_COLUMNS`; no rows: none of it shall stand there.
        :param before_new: is called with the districts of which rows are about to stand there for the first time.
        :raises CleverSettingsError: the catalog is of no use, or the table is not ours.
        :raises CleverLandingError: it cannot be read or written.
        """

    def holds(self, district_id: str) -> bool:
        """Whether there are rows of a district.

        :raises CleverSettingsError: the catalog is of no use, or the table is not ours.
        :raises CleverLandingError: it cannot be read.
        """

    def forget(self, district_id: str) -> Sequence[str]:
        """Remove a district's rows, and all earlier states.

        :returns: what could not be removed, each in words with the next step.
        """
