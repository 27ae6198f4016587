"""The table that analysts query, in Apache Iceberg: one sorted file for each month of a district."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pyiceberg.expressions import In
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as PyIcebergTable

from airflow_provider_clever.exceptions import CleverError, CleverLandingError
from airflow_provider_clever.table.cursors import Cursor, CursorUpdate
from airflow_provider_clever.table.iceberg import upkeep
from airflow_provider_clever.table.iceberg.catalogs import CatalogSettings, explained
from airflow_provider_clever.table.iceberg.columns import ATTENDANCE
from airflow_provider_clever.table.iceberg.data_files import months_in, name_in, remove, write_file
from airflow_provider_clever.table.iceberg.files import needed_files
from airflow_provider_clever.table.iceberg.opening import Opener
from airflow_provider_clever.table.iceberg.schools import IcebergSchools
from airflow_provider_clever.table.iceberg.snapshots import (
    LostRaceError,
    expirable,
    is_rolled_back,
    prepared_swap,
    set_properties,
)
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.table import StagedMonth

KEEP_HOURS: Final = 24.0
"""How long an earlier state can be queried after a later one has replaced it."""
ORPHAN_HOURS: Final = 24.0
"""How old an uncommitted file must be before it is removed: its writer may still be running."""

_CURSOR: Final = "clever.cursor."
"""A district's cursor is the property of this name and its id."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A month's file that is not committed yet.

    :param file: the file; None: the month has no row.
    :param written_to: the state of the table before the file was begun.
    """

    file: DataFile | None
    written_to: PyIcebergTable


class IcebergTable:
    """An Iceberg table of attendance. Nothing is read or made before it is used.

    :param settings: the catalog, and the table's name in it.
    :param keep_hours: how long an earlier state can be queried after a later one has replaced it. Default 24.
    :param orphan_hours: how old an uncommitted file must be before it is removed. Default 24.
    """

    months_per_commit: int = 500

    def __init__(
        self, settings: CatalogSettings, *, keep_hours: float = KEEP_HOURS, orphan_hours: float = ORPHAN_HOURS
    ) -> None:
        self._settings = settings
        self._opener = Opener(settings, ATTENDANCE)
        self._keep = timedelta(hours=keep_hours)
        self._orphans_after = timedelta(hours=orphan_hours)

    @property
    def schools(self) -> IcebergSchools:
        """The schools, in a table of the same namespace."""
        return IcebergSchools(self._settings.beside("schools"), keep=self._keep, orphans_after=self._orphans_after)

    @property
    def registration(self) -> Mapping[str, str]:
        """How ``forget`` finds the table again."""
        return {"kind": "iceberg", "catalog": self._settings.name, "table": self._settings.table}

    def cursors(self, district_ids: Collection[str] | None) -> Mapping[str, Cursor]:
        """Give what the months of these districts were made of; None: of all.

        :raises CleverSettingsError: the catalog cannot be used, or the table is not ours.
        :raises CleverLandingError: it cannot be read.
        """
        with explained(self._settings):
            table = self._opener.found()
            if table is None:
                return {}
            upkeep.point_at_newest(self._settings, table)  # a killed commit may not have done that
            found = _cursors(table)
        return found if district_ids is None else {one: found[one] for one in district_ids if one in found}

    def stage(self, month: MonthRows) -> StagedMonth[StagedFile]:
        """Write a month to a file that no reader sees yet.

        :raises CleverLandingError: the destination cannot be read, or the table not written.
        """
        with explained(self._settings):
            table = self._opener.with_todays_columns()
            file = write_file(table, month)
        return StagedMonth(month, StagedFile(file, table), month.fingerprint, month.rows)

    def commit(
        self,
        staged: Sequence[StagedMonth[StagedFile]],
        removed: Collection[MonthName],
        cursors: Mapping[str, CursorUpdate],
    ) -> None:
        """Replace and remove months, and keep the cursors, in one snapshot.

        :raises CleverLandingError: the table cannot be written, or others kept changing it.
        """
        made, updates = list(staged), dict(cursors)
        is_open = False

        def attempt(table: PyIcebergTable) -> None:
            nonlocal is_open
            self._stage_again(made, updates, upkeep.fence_of(table))
            changes_rows = bool(made or removed)
            expired = expirable(table, datetime.now(UTC) - self._keep) if changes_rows else []
            past = needed_files(table) if expired else set()
            land = _prepared(table, made, removed, updates, expired)
            is_open = True
            try:
                land()
            except LostRaceError:
                is_open = False
                raise
            upkeep.tidy(self._settings, table, past, self._orphans_after)

        with explained(self._settings):
            try:
                self._opener.on_newest(attempt)
            except BaseException:
                if not is_open:  # otherwise the commit may have been made
                    _discard(made)
                raise

    def forget_past(self, district_id: str) -> Sequence[str]:
        """Remove all earlier states, and each file of the district that the present one does not need.

        :returns: what could not be removed, each with the next step.
        """

        def is_meant(location: str) -> bool:
            name = name_in(location)
            return name is not None and name.district_id == district_id

        try:
            with explained(self._settings):
                table = self._opener.found()
                if table is None:
                    return upkeep.left_without_catalog(self._settings)
                return self._opener.on_newest(
                    lambda now: upkeep.forget_past(self._settings, now, is_meant=is_meant), table
                )
        except CleverError as error:
            return [str(error)]

    def _stage_again(self, made: list[StagedMonth[StagedFile]], updates: dict[str, CursorUpdate], fence: str) -> None:
        """Write once more what was written before the fence moved."""
        for place, one in enumerate(made):
            if upkeep.fence_of(one.file.written_to) == fence:
                continue
            _discard([one])
            self._opener.look_again()
            made[place] = again = self.stage(one.month)
            district_id, month = one.name
            written = dict(updates[district_id].written)
            written[month] = written[month]._replace(fingerprint=again.fingerprint)
            updates[district_id] = replace(updates[district_id], written=written)


def _discard(made: Iterable[StagedMonth[StagedFile]]) -> None:
    """Remove what was written and certainly not committed."""
    for one in made:
        if one.file.file is not None:
            remove(one.file.written_to, one.file.file.file_path)


def _prepared(
    table: PyIcebergTable,
    made: Collection[StagedMonth[StagedFile]],
    removed: Collection[MonthName],
    updates: Mapping[str, CursorUpdate],
    expired: Collection[int],
) -> Callable[[], None]:
    standing = _cursors(table)
    properties = {
        f"{_CURSOR}{id_}": after.to_json() if (after := one.applied(standing.get(id_))) else None
        for id_, one in updates.items()
    }
    if not made and not removed:
        return lambda: set_properties(table, properties)
    months = {*removed, *(one.name for one in made)}
    return prepared_swap(
        table,
        added=[one.file.file for one in made if one.file.file is not None],
        removed=list(_replaced(table, months, standing, updates)),
        properties=properties,
        expired=expired,
    )


def _cursors(table: PyIcebergTable) -> dict[str, Cursor]:
    """What the months of each district were made of; nothing is known of a table that was set back."""
    found = {key.removeprefix(_CURSOR): text for key, text in table.properties.items() if key.startswith(_CURSOR)}
    if is_rolled_back(table):
        return dict.fromkeys(found, Cursor())
    return {district_id: Cursor.from_json(text) for district_id, text in found.items()}


def _replaced(
    table: PyIcebergTable, months: Collection[MonthName], standing: Mapping[str, Cursor], districts: Collection[str]
) -> Iterator[DataFile]:
    """Give the files that a commit removes: those of these months, and those that no cursor of these districts names.

    :raises CleverLandingError: another program has put several months into one file, and not all are replaced.
    """
    if not districts:
        return
    of_them = In("district_id", [*districts])  # type: ignore[call-arg, arg-type]  # the signature of its pydantic twin
    for task in table.scan(row_filter=of_them).plan_files():
        district_id = task.file.partition[0]
        span = months_in(table, task.file)
        known = {MonthName(district_id, month) for month in standing.get(district_id, Cursor()).months} | {*months}
        inside = {one for one in known if one.district_id == district_id and _covers(span, one.month)}
        if inside <= {*months}:
            yield task.file
        elif inside & {*months}:
            raise CleverLandingError(
                f"Another program has put several months of district {district_id} into one file of the table, so one "
                "of them cannot be replaced alone. Make the district's table again: clever-attendance table … --rebuild"
            )


def _covers(span: tuple[str, str] | None, month: str) -> bool:
    return span is None or span[0] <= month <= span[1]
