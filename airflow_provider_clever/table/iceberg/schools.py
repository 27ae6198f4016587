"""The table of schools in Apache Iceberg: one small file for all districts, in the namespace of the attendance."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as PyIcebergTable

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.table.iceberg import upkeep
from airflow_provider_clever.table.iceberg.catalogs import CatalogSettings, explained
from airflow_provider_clever.table.iceberg.columns import SCHOOLS
from airflow_provider_clever.table.iceberg.data_files import is_whole, remove, write_rows
from airflow_provider_clever.table.iceberg.files import needed_files
from airflow_provider_clever.table.iceberg.opening import Opener
from airflow_provider_clever.table.iceberg.snapshots import LostRaceError, expirable, prepared_swap

Result = TypeVar("Result")

_COLUMNS: Final = pa.schema(
    [(column.name, pa.date32() if column.kind == "date" else pa.string()) for column in SCHOOLS.columns]
)


class IcebergSchools:
    """The table of schools. Nothing is read or made before it is used.

    Each commit is based on the state that it replaces, so two writers do not overwrite each other's rows.

    :param settings: the catalog, and the table's name in it.
    :param keep: how long an earlier state can be queried after a later one has replaced it.
    :param orphans_after: how old an uncommitted file must be before it is removed.
    """

    def __init__(self, settings: CatalogSettings, *, keep: timedelta, orphans_after: timedelta) -> None:
        self._settings = settings
        self._opener = Opener(settings, SCHOOLS)
        self._keep = keep
        self._orphans_after = orphans_after

    def replace(self, districts: Mapping[str, pa.Table], *, before_new: Callable[[Collection[str]], None]) -> None:
        """Replace the rows of these districts in one commit; nothing is written if the table has them already.

        :param districts: the rows of each; no rows: the district's rows are removed.
        :param before_new: is called with the districts whose first rows are about to be committed.
        :raises CleverSettingsError: the catalog cannot be used, or the table is not ours.
        :raises CleverLandingError: it cannot be read or written.
        """

        def attempt(table: PyIcebergTable) -> None:
            files, standing = _files(table), _rows_in(table)
            after = _without(standing, districts, *districts.values())
            if after.equals(standing):
                return
            before_new({*after["district_id"].to_pylist()} - {*standing["district_id"].to_pylist()})
            expired = expirable(table, datetime.now(UTC) - self._keep)
            past = needed_files(table) if expired else set()

            def swap(added: Sequence[DataFile]) -> None:
                prepared_swap(table, added=added, removed=files, properties={}, expired=expired)()

            _with_file_of(table, after, swap)
            upkeep.tidy(self._settings, table, past, self._orphans_after)

        with explained(self._settings):
            if any(rows.num_rows for rows in districts.values()) or self._opener.found() is not None:
                self._opener.on_newest(attempt, self._opener.with_todays_columns())

    def holds(self, district_id: str) -> bool:
        """Whether there are rows of a district.

        :raises CleverSettingsError: the catalog cannot be used, or the table is not ours.
        :raises CleverLandingError: it cannot be read.
        """
        with explained(self._settings):
            table = self._opener.found()
            return table is not None and district_id in _rows_in(table)["district_id"].to_pylist()

    def forget(self, district_id: str) -> Sequence[str]:
        """Remove a district's rows, and all earlier states.

        :returns: what could not be removed, each with the next step.
        """

        def attempt(table: PyIcebergTable) -> list[str]:
            files, standing = _files(table), _rows_in(table)
            after = _without(standing, [district_id])

            def swap(added: Sequence[DataFile]) -> list[str]:
                return upkeep.forget_past(self._settings, table, is_meant=is_whole, added=added, removed=files)

            return _with_file_of(table, after, swap)

        try:
            with explained(self._settings):
                table = self._opener.found()
                if table is None:
                    return upkeep.left_without_catalog(self._settings)
                return self._opener.on_newest(attempt, table)
        except CleverError as error:
            return [str(error)]


def _files(table: PyIcebergTable) -> list[DataFile]:
    return [task.file for task in table.scan().plan_files()]


def _rows_in(table: PyIcebergTable) -> pa.Table:
    """Read all rows, in order."""
    found = [_COLUMNS.empty_table()]
    for file in _files(table):
        with table.io.new_input(file.file_path).open() as source:
            # Not the table's own to_arrow(), whose threads may outlive the interpreter where Python's files are read.
            rows = pq.ParquetFile(source).read(use_threads=False)
        found.append(rows.select(_COLUMNS.names).cast(_COLUMNS))
    return _sorted(pa.concat_tables(found))


def _without(standing: pa.Table, district_ids: Iterable[str], *added: pa.Table) -> pa.Table:
    """Give the rows without those of these districts, with others added, in order."""
    kept = standing.filter(pc.invert(pc.is_in(standing["district_id"], pa.array([*district_ids], pa.string()))))
    return _sorted(pa.concat_tables([kept, *(rows.cast(_COLUMNS) for rows in added)]))


def _sorted(rows: pa.Table) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in SCHOOLS.order])


def _with_file_of(table: PyIcebergTable, rows: pa.Table, swap: Callable[[Sequence[DataFile]], Result]) -> Result:
    """Write rows to a file and commit it; if another writer was faster, remove the file."""
    added = [write_rows(table, rows)] if rows.num_rows else []
    try:
        return swap(added)
    except LostRaceError:
        for file in added:
            remove(table, file.file_path)
        raise
