"""Finds out about partitions without reading them: which exist, and which rows the present version of each holds.

A listing gives a thousand names and versions (ETags, generations) in one request. What rows each version held when it
was last read or written is noted in ``partitions/YYYY-MM.json.gz``. So a day without a file is not asked for, and a
partition that still has the noted version need not be read to know that a pull brings the same rows.

Correctness does not depend on the notes: what a version held cannot change. A partition whose version is not noted is
read. One that was written after the listing is noticed by the write's condition or, if nothing is written, by a second
listing at the end. Lost notes cost requests, but no rows.
"""

import calendar
import logging
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from datetime import date
from functools import partial
from itertools import groupby
from threading import Lock
from typing import Final, NamedTuple, TypeAlias

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverError, CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.formats import Mark
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.daemons import DaemonPool, in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT, Version

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
HASH_DIGITS: Final = 32
"""How much of a content hash is noted."""

BySchool: TypeAlias = dict[str, dict[str, str | None]]
"""One value for each partition, by attendance date and school: its version, or the note about it."""


class Known(NamedTuple):
    """What is known of a partition.

    :param version: its present version; :data:`ABSENT`: there is no partition.
    :param mark: the mark of the rows in this version, with a shortened hash; None: not known.
    """

    version: Version
    mark: Mark | None = None

    def holds(self, mark: Mark) -> bool:
        """Whether it is known to hold exactly these rows; no rows if there is no partition."""
        if self.version == ABSENT:
            return not mark.rows
        return self.mark == mark._replace(content_hash=mark.content_hash[:HASH_DIGITS])


class KnownPartitions:
    """What is known of a district's partitions on the days of a run. Safe to use from several threads.

    :param objects: the destination.
    :param district_id: whose partitions.
    :param file_format: in which they are.
    """

    def __init__(self, objects: Objects, district_id: str, file_format: str) -> None:
        self._objects = objects
        self._district_id = district_id
        self._file_format = file_format
        self._lock = Lock()
        self._cannot_list = False
        self._listings: dict[date, Future[BySchool | None]] = {}
        self._looked_up: list[tuple[str, DateRange, Collection[str] | None]] = []
        self._relied_on: dict[str, set[str]] = defaultdict(set)
        self._notes: dict[str, Future[BySchool]] = {}
        self._news: dict[str, BySchool] = defaultdict(lambda: defaultdict(dict))

    def look_up(self, days: DateRange, school_ids: Collection[str] | None) -> None:
        """List the partitions of these days and read the notes about them, while the caller does other things.

        If listings have no versions, as on a file system, nothing becomes known.

        :param school_ids: the schools; None: all.
        """
        pool = DaemonPool()
        for prefix, listed in listed_together(days):
            listing = pool.submit(partial(self._listed, prefix, days, school_ids))
            self._listings |= dict.fromkeys(listed, listing)
            self._looked_up.append((prefix, days, school_ids))
            month = prefix[:7]
            if month not in self._notes:
                self._notes[month] = pool.submit(partial(self._noted, month, listing, school_ids))
        pool.close()

    def of(self, path: str) -> Known | None:
        """Give what is known of a partition. None: nothing, so it has to be read.

        :param path: relative to the destination.
        """
        found = self._about(path)
        if found is None:
            return None
        day, school_id, versions, notes = found
        with self._lock:
            on_day = versions.get(day, {})
            if school_id not in on_day:
                return Known(ABSENT)
            version, note = on_day[school_id], notes.get(day, {}).get(school_id)
        if version is None:
            return None
        noted, content_hash, rows = note.split() if note else ("", "", "0")
        return Known(Version(version), Mark(content_hash, int(rows)) if noted == version else None)

    def note(self, path: str, version: Version | None, mark: Mark) -> None:
        """Note what a version holds that was just read or written.

        :param version: None: the store does not say which version it has written.
        """
        found = self._about(path)
        if found is None:
            return
        day, school_id, versions, notes = found
        with self._lock:
            versions.setdefault(day, {})[school_id] = version and version.mark
            note = version and note_of(version, mark)
            if note and notes.get(day, {}).get(school_id) != note:
                notes.setdefault(day, {})[school_id] = note
                self._news[day[:7]][day][school_id] = note

    def rely_on(self, path: str, mark: Mark) -> bool:
        """Whether a partition is known to hold exactly these rows, so that it need not be read: see :meth:`changed`."""
        known, name = self.of(path), layout.parse_partition_path(path)
        if known is None or name is None or not known.holds(mark):
            return False
        with self._lock:
            self._relied_on[name.attendance_date].add(sys.intern(name.school_id))
        return True

    def changed(self) -> set[tuple[str, str]]:
        """Give school and day of each partition that was relied on, and that another writer has changed meanwhile.

        No write's condition notices that, so the days are listed once more. If they cannot be, all count as changed.
        """
        again, relied_on = [], []
        for one in self._looked_up:
            if days := [day for day in self._relied_on if f"{day}/".startswith(one[0])]:
                again.append(one)
                relied_on.append(days)
        found: set[tuple[str, str]] = set()
        for days, now in zip(relied_on, in_order(lambda one: self._listed(*one), again), strict=True):
            for day in days:
                before = self._listings[date.fromisoformat(day)].result() or {}
                found |= {
                    (school_id, day)
                    for school_id in self._relied_on[day]
                    if now is None or now.get(day, {}).get(school_id) != before.get(day, {}).get(school_id)
                }
        return found

    def keep(self) -> None:
        """Write the notes. If that fails, later runs read more than necessary."""
        with self._lock:
            news = [(month, self._news.pop(month)) for month in sorted(self._news)]
        try:
            for _ in in_order(lambda one: self._keep(*one), news):
                pass
        except CleverLandingError as error:
            log.warning("Which versions hold which rows was not noted, so the next run reads more: %s", error)

    def _about(self, path: str) -> tuple[str, str, BySchool, BySchool] | None:
        """Give day and school of a path, and the versions and notes of its month. None: its day was not listed."""
        name = layout.parse_partition_path(path)
        if name is None or (listing := self._listings.get(date.fromisoformat(name.attendance_date))) is None:
            return None
        if (versions := listing.result()) is None:
            return None
        day = name.attendance_date
        return day, name.school_id, versions, self._notes[day[:7]].result()

    def _listed(self, prefix: str, days: DateRange, school_ids: Collection[str] | None) -> BySchool | None:
        try:
            found = self._objects.versions(f"{layout.landed_prefix(self._district_id)}/date={prefix}")
        except CleverError as error:
            level = logging.DEBUG if self._cannot_list else logging.WARNING
            self._cannot_list = True
            log.log(level, "Partitions are read one by one, because they cannot be listed: %s", error)
            return None
        if found is None:
            return None
        versions: BySchool = {}
        for path, version in found.items():
            name = layout.parse_partition_path(path)
            if (
                name is not None
                and name.file_format == self._file_format
                and date.fromisoformat(name.attendance_date) in days
                and (school_ids is None or name.school_id in school_ids)
            ):
                versions.setdefault(name.attendance_date, {})[sys.intern(name.school_id)] = version.mark
        return versions

    def _noted(self, month: str, listing: "Future[BySchool | None]", school_ids: Collection[str] | None) -> BySchool:
        if listing.result() is None:
            return {}
        return {
            day: {sys.intern(id_): note for id_, note in schools.items() if school_ids is None or id_ in school_ids}
            for day, schools in read_notes(self._objects, self._district_id, month).items()
        }

    def _keep(self, month: str, news: BySchool) -> None:
        write_notes(self._objects, self._district_id, month, news)


def read_notes(objects: Objects, district_id: str, month: str) -> BySchool:
    """Read the notes about the partitions of a month; empty if they cannot be used."""
    path = notes_path(district_id, month)
    try:
        found = objects.read(path)
        return _parsed(found and found[0]) or {}
    except (ValueError, CleverLandingError) as error:
        log.warning("%s cannot be used (%s), so partitions are read; this run writes it again", path, error)
        return {}


def write_notes(objects: Objects, district_id: str, month: str, news: BySchool) -> None:
    """Add these notes to those about the month, unless a newer version wrote those.

    :raises CleverLandingError: they cannot be written.
    """

    def next_data(data: bytes | None) -> bytes | None:
        try:
            notes = _parsed(data)
        except ValueError:
            notes = {}
        if notes is None:
            return None
        for day, schools in news.items():
            notes.setdefault(day, {}).update(schools)
        return gzipped_json({"schema_version": SCHEMA_VERSION, "district_id": district_id, "days": notes})

    objects.update(notes_path(district_id, month), next_data)


def note_of(version: Version, mark: Mark) -> str:
    """Make the note about what a version holds."""
    return f"{version.mark} {mark.content_hash[:HASH_DIGITS]} {mark.rows}"


def noted_hash(note: str | None, version: Version) -> str | None:
    """Give the shortened content hash that is noted for this version. None: there is no note."""
    noted, content_hash, _ = note.split() if note else ("", "", "")
    return content_hash if noted == version.mark else None


def notes_path(district_id: str, month: str) -> str:
    """Give the path of the notes about a month, relative to the destination."""
    return layout.our_path(district_id, "partitions", f"{month}.json.gz")


def listed_together(days: DateRange) -> Iterator[tuple[str, tuple[date, ...]]]:
    """Decide what to list: the beginnings of dates, with the days that each is listed for.

    A month is listed whole, or ten days of one (``2026-04-1``), if at least half of its days are wanted.
    """
    for month, in_month in groupby(days, lambda day: f"{day:%Y-%m}"):
        wanted = tuple(in_month)
        length = calendar.monthrange(wanted[0].year, wanted[0].month)[1]
        if 2 * len(wanted) >= length:
            yield month, wanted
            continue
        for tens, in_tens in groupby(wanted, lambda day: day.day // 10):
            some = tuple(in_tens)
            if 2 * len(some) >= sum(day // 10 == tens for day in range(1, length + 1)):
                yield f"{month}-{tens}", some
            else:
                yield from ((f"{day}/", (day,)) for day in some)


def _parsed(data: bytes | None) -> BySchool | None:
    """The notes; None if a newer version wrote them.

    :raises ValueError: they are damaged.
    """
    if data is None:
        return {}
    try:
        document = read_gzipped_json(data)
        if document["schema_version"] > SCHEMA_VERSION:
            return None
        return {
            str(day): {str(id_): _checked(note) for id_, note in schools.items()}
            for day, schools in document["days"].items()
        }
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is damaged") from None


def _checked(note: str) -> str:
    _, _, rows = note.split()
    int(rows)
    return note
