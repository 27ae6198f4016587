"""The table as plain monthly Parquet: one file for each month of a district, at the destination itself, no catalog.

The files are ``attendance_by_month/district=<id>/month=YYYY-MM.parquet``, with nothing else under the prefix. A file is
replaced as a whole. ``_clever/district=<id>/months.json`` records what each file was made of, and its version; it is
written after the files. So if a writer is killed, or another one writes the file, its version differs from the record
and the month is made again.
"""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Content, Objects, swap_waits, too_contended
from airflow_provider_clever.storage.versions import ABSENT, PreconditionFailedError, Version
from airflow_provider_clever.table.cursors import Cursor, CursorUpdate, MonthCursor
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.month_file import fingerprint_in, write_month
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.table import StagedMonth

TOP: Final = "attendance_by_month"

_FILE: Final = re.compile(rf"{TOP}/district=([^/]+)/month=(\d{{4}}-(?:0[1-9]|1[0-2]))\.parquet")
_UNKNOWN: Final = "0-unknown"
"""The fingerprint of a file about which nothing is recorded."""


def month_path(name: MonthName) -> str:
    """Give the path of a month's file, relative to the destination."""
    return f"{months_folder(name.district_id)}/month={name.month}.parquet"


def months_folder(district_id: str) -> str:
    """Give the folder that holds a district's months and nothing else, relative to the destination."""
    return f"{TOP}/district={layout.checked_id(district_id, 'district id')}"


def cursor_path(district_id: str) -> str:
    """Give the path of a district's cursor, relative to the destination."""
    return layout.our_path(district_id, "months.json")


def parse_month_path(path: str) -> MonthName | None:
    """Give the month whose file a path names. None: it names none."""
    found = _FILE.fullmatch(path)
    return MonthName(*found.groups()) if found else None


class MonthlyParquet:
    """The monthly Parquet files at a destination.

    Readers see a month as soon as it is staged: several files cannot be committed together. The commit writes cursors.

    :param objects: the destination.
    """

    months_per_commit = 32
    registration = None
    schools = None

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def cursors(self, district_ids: Collection[str] | None) -> Mapping[str, Cursor]:
        """Give what the present files were made of."""
        if district_ids is None:
            folders = self._objects.names(TOP)
            district_ids = [path.rpartition("district=")[2] for path in folders if "district=" in path]
        found = zip(district_ids, in_order(self._cursor, district_ids), strict=True)
        return {district_id: cursor for district_id, cursor in found if cursor.months}

    def stage(self, month: MonthRows) -> StagedMonth[str | None]:
        """Write the month's file; if another writer was faster, read the partitions and write again."""
        path = month_path(month.name)
        for wait_seconds in swap_waits():
            before = self._version(path)
            data = _file_of(month)
            try:
                version = self._objects.write(path, data, before)
            except PreconditionFailedError:
                time.sleep(wait_seconds)
                continue
            if version is None and self._objects.single_writer:
                version = self._version(path)
            return StagedMonth(month, version and version.mark, month.fingerprint, month.rows)
        raise too_contended(path)

    def commit(
        self,
        staged: Sequence[StagedMonth[Any]],
        removed: Collection[MonthName],
        cursors: Mapping[str, CursorUpdate],
    ) -> None:
        """Remove files, then record what the others were made of, several districts at a time."""
        for _ in in_order(self._remove, removed):
            pass
        versions = {one.name: one.file for one in staged}
        for _ in in_order(lambda one: self._keep(*one, versions), cursors.items()):
            pass

    def forget_past(self, district_id: str) -> Sequence[str]:  # noqa: ARG002 - the protocol of tables
        """Do nothing: the sweep of the district removes the older versions that a store keeps."""
        return ()

    def _cursor(self, district_id: str) -> Cursor:
        kept = self._objects.read(cursor_path(district_id))
        cursor = Cursor.from_json(kept[0]) if kept else Cursor()
        entries = {
            month: self._entry(path, version, cursor.months.get(month))
            for month, path, version in self._files(district_id)
        }
        return Cursor(entries, cursor.checked_on)

    def _files(self, district_id: str) -> list[tuple[str, str, Version | None]]:
        """List month, path and version of each file; version None: listings have none."""
        folder = months_folder(district_id)
        versions = self._objects.versions(f"{folder}/")
        found = dict.fromkeys(self._objects.names(folder)) if versions is None else versions
        parsed = ((path, version, parse_month_path(path)) for path, version in found.items())
        return [(name.month, path, version) for path, version, name in parsed if name]

    def _entry(self, path: str, version: Version | None, kept: MonthCursor | None) -> MonthCursor:
        """Give what a file was made of: from the cursor if it knows this version, else from the file itself."""
        if version is not None:
            return kept if kept and kept.version == version.mark else MonthCursor(_UNKNOWN)
        fingerprint = self._fingerprint(path)
        return kept if kept and kept.fingerprint == fingerprint else MonthCursor(fingerprint)

    def _fingerprint(self, path: str) -> str:
        import pyarrow as pa

        try:
            found = fingerprint_in(self._objects, path)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            found = ""
        return found if found.partition("-")[0].isdigit() else _UNKNOWN

    def _version(self, path: str) -> Version:
        """Give the present version of a file."""
        listed = self._objects.versions(path)
        if listed is not None:
            return listed.get(path, ABSENT)
        found = self._objects.read(path)
        return found[1] if found else ABSENT

    def _remove(self, name: MonthName) -> None:
        path = month_path(name)
        version = self._version(path)
        if version == ABSENT:
            return
        try:
            self._objects.delete(path, version)
        except PreconditionFailedError:
            raise CleverLandingError(
                f"{path} was written by another task just when it was to be removed; run again"
            ) from None

    def _keep(self, district_id: str, update: CursorUpdate, versions: Mapping[MonthName, str | None]) -> None:
        written = {
            month: one._replace(version=versions[MonthName(district_id, month)])
            for month, one in update.written.items()
        }

        def next_data(data: bytes | None) -> bytes | None:
            standing = Cursor.from_json(data) if data else None
            after = replace(update, written=written).applied(standing)
            text = (after or Cursor()).to_json().encode()
            return None if text == data or (after is None and data is None) else text

        self._objects.update(cursor_path(district_id), next_data)


def _file_of(month: MonthRows) -> Content:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    write_month(month, sink)
    return Content(sink.getvalue())
