"""Plain monthly Parquet: one file for each month of a district, at the destination itself, for who has no catalog.

``attendance_by_month/district=<id>/month=YYYY-MM.parquet``, and nothing else under the prefix. A file is swapped whole.
What each was made of stands in ``_clever/district=<id>/months.json``, which is written after the files and names the
version of each. So a file that is newer than its entry, because a writer was killed or another one came, is seen to be,
and made again.
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
"""The fingerprint of a file of which nothing tells what it was made of."""


def month_path(name: MonthName) -> str:
    """Where a month's file stands, relative to the destination."""
    return f"{months_folder(name.district_id)}/month={name.month}.parquet"


def months_folder(district_id: str) -> str:
    """The folder that holds a district's months and nothing else, relative to the destination."""
    return f"{TOP}/district={layout.checked_id(district_id, 'district id')}"


def cursor_path(district_id: str) -> str:
    """Where what a district's months were made of is kept, relative to the destination."""
    return layout.our_path(district_id, "months.json")


def parse_month_path(path: str) -> MonthName | None:
    """The month whose file can stand at a path; None: none can."""
    found = _FILE.fullmatch(path)
    return MonthName(*found.groups()) if found else None


class MonthlyParquet:
    """The months at a destination.

    A month stands as soon as it is staged: there is no commit of several files. Its cursor follows with the commit.

    :param objects: the destination.
    """

    months_per_commit = 32
    registration = None
    schools = None

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def cursors(self, district_ids: Collection[str] | None) -> Mapping[str, Cursor]:
        """What the files that stand there were made of."""
        if district_ids is None:
            folders = self._objects.names(TOP)
            district_ids = [path.rpartition("district=")[2] for path in folders if "district=" in path]
        found = zip(district_ids, in_order(self._cursor, district_ids), strict=True)
        return {district_id: cursor for district_id, cursor in found if cursor.months}

    def stage(self, month: MonthRows) -> StagedMonth[str | None]:
        """Write the month's file, unless another writer has written it since; then again."""
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
        """Remove files, then write down what the others were made of, district by district, side by side."""
        for _ in in_order(self._remove, removed):
            pass
        versions = {one.name: one.file for one in staged}
        for _ in in_order(lambda one: self._keep(*one, versions), cursors.items()):
            pass

    def forget_past(self, district_id: str) -> Sequence[str]:  # noqa: ARG002 - as every table has it
        """Nothing: what a store keeps of a file that was swapped, the sweep of the district goes through."""
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
        """Month, path and version of each file; None: listings say no versions."""
        folder = months_folder(district_id)
        versions = self._objects.versions(f"{folder}/")
        found = dict.fromkeys(self._objects.names(folder)) if versions is None else versions
        parsed = ((path, version, parse_month_path(path)) for path, version in found.items())
        return [(name.month, path, version) for path, version, name in parsed if name]

    def _entry(self, path: str, version: Version | None, kept: MonthCursor | None) -> MonthCursor:
        """What a file was made of: as the cursor says it of this version of the file, else as the file itself does."""
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
        """The version of a file that stands there now."""
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
