"""Lists the months of a district that have landed, with their marks, and the partitions of each."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverDataError, CleverLandingError, CleverPartitionError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.formats import FORMATS, DamagedPartitionError, NewerPartitionError
from airflow_provider_clever.lake.known_partitions import BySchool, note_of, noted_hash, read_notes, write_notes
from airflow_provider_clever.lake.layout import PartitionName
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import Version
from airflow_provider_clever.table.cursors import fingerprint_of

log = logging.getLogger(__name__)

_READERS: Final = 16

_PULLED_DAYS: Final = 31
"""How many days back a night's pull reaches, with a long lookback."""


class MonthName(NamedTuple):
    """A month of a district.

    :param month: ``YYYY-MM``.
    """

    district_id: str
    month: str

    def __str__(self) -> str:
        return f"district {self.district_id}, {self.month}"


class Partition(NamedTuple):
    """A partition in a listing.

    :param version: its version; None: the listing has none.
    """

    path: str
    name: PartitionName
    version: Version | None


def landed_months(objects: Objects, district_id: str, today: date) -> dict[str, str | None]:
    """Give the months that have landed, in order, each with its mark. None: it has none.

    A mark changes whenever a partition of the month does. On a file system it is made of the times at which the folders
    of days have changed. Elsewhere, for months that nights still pull, it is made of the versions of all partitions.
    For older months it is the version of the notes (lake/known_partitions.py), which every pull that has written a
    partition writes again, unless it is killed before.

    :param today: the date.
    :raises CleverLandingError: the destination cannot be listed.
    """
    prefix = layout.landed_prefix(district_id)
    folders = objects.folder_marks(prefix)
    if folders is not None:
        by_month = groupby(sorted(_days(folders).items()), lambda one: one[0][:7])
        return {month: _mark_of(found) for month, found in by_month}
    days = _days(dict.fromkeys(path.rpartition("/")[2] for path in objects.names(prefix)))
    months = sorted({day[:7] for day in days})
    notes = objects.versions(f"{layout.our_path(district_id, 'partitions')}/")
    if notes is None:
        return dict.fromkeys(months)
    marks = {path.rpartition("/")[2][:7]: version.mark for path, version in notes.items()}
    first_recent = f"{today - timedelta(days=_PULLED_DAYS):%Y-%m}"
    recent = [month for month in months if month >= first_recent]
    listings = in_order(lambda month: objects.versions(f"{prefix}/date={month}-") or {}, recent)
    marks |= {month: _mark_of(sorted(found.items())) for month, found in zip(recent, listings, strict=True)}
    return {month: marks.get(month) for month in months}


def _days(folders: Mapping[str, str | None]) -> dict[str, str | None]:
    """Give the marks of the folders of days, by their day."""
    found = {name.removeprefix("date="): mark for name, mark in folders.items() if name.startswith("date=")}
    return {day: mark for day, mark in found.items() if _is_day(day)}


def _mark_of(marks: Iterable[tuple[str, object]]) -> str | None:
    """Make one mark of several. None: one of them is missing."""
    found = list(marks)
    if any(mark is None for _, mark in found):
        return None
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def partitions_of(objects: Objects, name: MonthName) -> list[Partition]:
    """List the partitions of a month, in the order of days and schools.

    :raises CleverPartitionError: a school's day has landed in two formats.
    :raises CleverLandingError: the destination cannot be listed.
    """
    found: dict[tuple[str, str], Partition] = {}
    for path, version in _listed(objects, name):
        parsed = layout.parse_partition_path(path)
        if parsed is None:
            continue  # verify reports it as strange
        place = (parsed.attendance_date, parsed.school_id)
        if place in found:
            raise CleverPartitionError(
                f"{objects.root}/{path} and {found[place].path} are the same school's day in two formats, so its rows "
                "would come twice. Move one of them away, then run again"
            )
        found[place] = Partition(path, parsed, version)
    return [found[place] for place in sorted(found)]


def _listed(objects: Objects, name: MonthName) -> Iterable[tuple[str, Version | None]]:
    prefix = layout.landed_prefix(name.district_id)
    listed = objects.versions(f"{prefix}/date={name.month}-")
    if listed is not None:
        return listed.items()
    days = [folder for folder in objects.names(prefix) if folder.startswith(f"{prefix}/date={name.month}-")]
    return ((path, None) for paths in in_order(objects.names, days) for path in paths)


def landed_fingerprint(objects: Objects, name: MonthName) -> str:
    """Compute a month's fingerprint from what has landed.

    Where the store lists versions, this takes two or three requests. A partition whose version is not in the notes is
    read, and noted.

    :raises CleverPartitionError: a partition is damaged; it is named.
    :raises CleverLandingError: the destination cannot be read.
    """
    partitions = partitions_of(objects, name)
    is_noting = any(one.version is not None for one in partitions)
    notes = read_notes(objects, name.district_id, name.month) if is_noting else {}
    news: BySchool = defaultdict(dict)

    def hash_of(one: Partition) -> tuple[str, str | None]:
        day, school_id = one.name.attendance_date, one.name.school_id
        known = one.version and noted_hash(notes.get(day, {}).get(school_id), one.version)
        if known:
            return one.path, known
        found = objects.read(one.path)
        if found is None:
            return one.path, None  # it was forgotten meanwhile
        try:
            mark = FORMATS[one.name.file_format].read_mark(found[0])
        except DamagedPartitionError as error:
            raise damaged(f"{objects.root}/{one.path}", error) from None
        if is_noting:
            news[day][school_id] = note_of(found[1], mark)
        return one.path, mark.content_hash

    hashes = list(in_order(hash_of, partitions, most=_READERS))
    if news:
        try:
            write_notes(objects, name.district_id, name.month, news)
        except CleverLandingError as error:
            log.warning("Which versions hold which rows was not noted, so the next run reads more: %s", error)
    return fingerprint_of((path, content_hash) for path, content_hash in hashes if content_hash is not None)


def damaged(path: str, why: object) -> CleverPartitionError:
    """Make the error for a partition that cannot be part of a table."""
    next_step = (
        "Upgrade airflow-provider-clever here, then run again; nothing is wrong with the file"
        if isinstance(why, NewerPartitionError)
        else "Restore an earlier version of it, or move it away and pull its day again while Clever still has it. The "
        "table keeps the month as it was until then"
    )
    return CleverPartitionError(f"{path} cannot be read: {why}. {next_step}")


def _is_day(text: str) -> bool:
    try:
        return bool(layout.checked_date(text))
    except CleverDataError:
        return False
