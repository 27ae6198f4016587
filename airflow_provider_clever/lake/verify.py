"""Verifies that what landed is unchanged: reads everything again, and compares it with itself and with receipts.

Partitions are read and checked side by side, across days, so that the processor is the bound and not a store that takes
long to answer. Their results come in order, so that a day's schools can be compared with each other.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import groupby
from sys import intern
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.dates import DateRange, gaps
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.changes import EMPTY, short_hash
from airflow_provider_clever.lake.findings import KINDS, Finding, Findings, VerifyReport
from airflow_provider_clever.lake.forgotten_partitions import Replaced
from airflow_provider_clever.lake.partition_check import CheckedPartition, check_partition
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.storage.compressed import read_gzipped_json
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

READERS: Final = 8
"""How many partitions are read at once; also how many are in memory."""


class Choice(NamedTuple):
    """The choice of partitions to read again.

    :param since: the first attendance date; None: all.
    :param share: the share of them, 0 to 1. Default: all.
    :param seed: another seed chooses other partitions.
    """

    since: date | None = None
    share: float = 1.0
    seed: str = ""

    def takes_day(self, day: str) -> bool:
        """Whether anything of a day is read."""
        return self.since is None or day >= self.since.isoformat()

    def takes(self, path: str, day: str) -> bool:
        """Whether a partition is read."""
        if not self.takes_day(day):
            return False
        if self.share >= 1:
            return True
        digest = hashlib.blake2b(f"{self.seed}/{path}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


class _Entry(NamedTuple):
    """The entry of a partition in its newest receipt."""

    finished_at: str
    content_hash: str
    file_format: str


_Spoken = dict[str, dict[str, _Entry]]
"""The entries of receipts, by attendance date and school."""


def verify(
    fs: "AbstractFileSystem",
    root: str,
    *,
    districts: Iterable[str] | None = None,
    choice: Choice | None = None,
    progress: Callable[[int, int], None] | None = None,
    details: Callable[[Finding], None] | None = None,
    also: Callable[[Objects, str], Iterable[Finding]] = lambda *_: (),
) -> VerifyReport:
    """Read everything at a destination again, and report what is wrong.

    Run it while no pull is running: what a pull has written before its receipt counts as wrong. In memory are a few
    partitions at a time, and one district's entries of receipts.

    :param districts: the districts; None: every district that has landed anything.
    :param choice: which partitions to read. Default: all.
    :param progress: is called with the number of days that are done, and of all days.
    :param details: is called with every finding, with ids.
    :param also: gives more findings about a district, such as those of its tables. Default: none.
    :raises CleverLandingError: if the destination cannot be read.
    """
    objects = layout.objects_at(fs, root, single_writer=True)
    choice = choice or Choice()
    there = districts_at(objects)
    chosen = tuple(sorted(districts)) if districts is not None else there
    found = Findings(details)
    if not {*there} - {*chosen}:  # if districts were named, folders without one do not matter
        for name in _district_folders(objects):
            if not is_clever_id(name.rpartition("/district=")[2]):
                found.add(Finding(kind="strange", district_id="", path=name, words="a folder of no district"))
    folders = dict(zip(chosen, in_order(lambda one: _day_folders(objects, one, choice), chosen), strict=True))
    done, total = 0, sum(map(len, folders.values()))
    for district in chosen:
        spoken = _check_receipts(objects, district, choice, found)
        replaced = Replaced(objects, district, damaged=_damaged_receipt(district, found))
        _check_ours(objects, district, found)
        for checked in _checked_days(objects, district, folders[district], choice, found):
            _compare_schools(checked, found)
            for one in checked:
                found.read["partitions"] += 1
                found.read["rows"] += one.rows
                for finding in one.findings:
                    found.add(finding)
                entry = spoken.get(one.name.attendance_date, {}).pop(one.name.school_id, None)
                _compare_with_receipt(one, entry, replaced, found)
            done += 1
            if progress:
                progress(done, total)
        _report_lost(district, spoken, replaced, found)
        for finding in also(objects, district):
            found.add(finding)
    return VerifyReport(
        districts=chosen,
        partitions=found.read["partitions"],
        rows=found.read["rows"],
        receipts=found.read["receipts"],
        counts={kind: found.found[kind] for kind in KINDS},
    )


def districts_at(objects: Objects) -> tuple[str, ...]:
    """List the districts that have a folder at a destination.

    :raises CleverLandingError: it cannot be listed.
    """
    found = {name.rpartition("/district=")[2] for name in _district_folders(objects)}
    return tuple(sorted(filter(is_clever_id, found)))


def _district_folders(objects: Objects) -> list[str]:
    return [name for folder in ("attendance", "_clever") for name in objects.names(folder) if "/district=" in name]


# --- receipts ---------------------------------------------------------------------------------------------------------


def _check_receipts(objects: Objects, district: str, choice: Choice, found: Findings) -> _Spoken:
    spoken: _Spoken = {}
    covered: dict[str, list[DateRange]] = {}

    for receipt in read_receipts(objects, district, damaged=_damaged_receipt(district, found)):
        found.read["receipts"] += 1
        for school_id, school in receipt.schools.items():
            covered.setdefault(intern(school_id), []).extend(school.covered)
        for school_id, day, entry in _entries(receipt):
            if choice.takes(layout.partition_path(district, day, school_id, entry.file_format), day):
                known = spoken.setdefault(day, {}).get(school_id)
                if known is None or known.finished_at < entry.finished_at:
                    spoken[day][intern(school_id)] = entry
    for school_id, ranges in sorted(covered.items()):
        for gap in gaps(ranges):
            found.add(
                Finding(
                    kind="uncovered_days",
                    district_id=district,
                    path=layout.landed_prefix(district),
                    count=gap.days,
                    school_id=school_id,
                    words=f"{gap.first} to {gap.last}",
                )
            )
    return spoken


def _damaged_receipt(district: str, found: Findings) -> Callable[[str, Exception], None]:
    """Report a receipt that cannot be read."""
    return lambda path, _: found.add(Finding(kind="damaged", district_id=district, path=path, words="a receipt"))


def _entries(receipt: Receipt) -> Iterator[tuple[str, str, _Entry]]:
    for school_id, school in receipt.schools.items():
        hashes = {day: short_hash(partition.content_hash) for day, partition in school.written.items()}
        for day, content_hash in (school.unchanged | hashes).items():
            yield school_id, day, _Entry(receipt.finished_at, content_hash, receipt.file_format)


def _report_lost(district: str, spoken: _Spoken, replaced: Replaced, found: Findings) -> None:
    for day, schools in sorted(spoken.items()):
        for school_id, entry in sorted(schools.items()):
            path = layout.partition_path(district, day, school_id, entry.file_format)
            lost = Finding(kind="lost", district_id=district, path=path, school_id=school_id, attendance_date=day)
            if not replaced.lead(path, entry.content_hash, EMPTY):
                found.add(lost)


def _check_ours(objects: Objects, district: str, found: Findings) -> None:
    """Check that the correction feed, the quarantine and the notes can be read."""

    def problem(path: str) -> tuple[str, str | None]:
        try:
            read = objects.read(path)
            read_gzipped_json(read[0] if read else b"")
        except (ValueError, CleverLandingError) as error:
            return path, str(error)
        return path, None

    for path, words in in_order(problem, _our_paths(objects, district)):
        if words is not None:
            found.add(Finding(kind="damaged", district_id=district, path=path, words=words))


def _our_paths(objects: Objects, district: str) -> Iterator[str]:
    for folder in ("quarantine", "partitions"):
        yield from objects.names(layout.our_path(district, folder))
    for month in objects.names(layout.our_path(district, "changes")):
        for paths in in_order(objects.names, objects.names(month)):
            yield from paths


# --- partitions -------------------------------------------------------------------------------------------------------


def _day_folders(objects: Objects, district: str, choice: Choice) -> list[str]:
    folders = objects.names(layout.landed_prefix(district))
    return [folder for folder in folders if choice.takes_day(folder.rpartition("/date=")[2])]


def _checked_days(
    objects: Objects, district: str, folders: list[str], choice: Choice, found: Findings
) -> Iterator[list[CheckedPartition]]:
    """Give the checked partitions of each folder; later folders are read meanwhile."""

    def check(job: tuple[int, str, layout.PartitionName | None]) -> tuple[int, CheckedPartition | None]:
        number, path, name = job
        return number, check_partition(objects, path, name) if name else None

    def jobs() -> Iterator[tuple[int, str, layout.PartitionName | None]]:
        for number, paths in enumerate(in_order(objects.names, folders)):
            yield number, "", None  # an empty folder is done, too
            for path in paths:
                name = layout.parse_partition_path(path)
                if name is None:
                    found.add(Finding(kind="strange", district_id=district, path=path))
                elif choice.takes(path, name.attendance_date):
                    yield number, path, name

    for _, results in groupby(in_order(check, jobs(), most=READERS), key=lambda result: result[0]):
        yield [checked for _, checked in results if checked is not None]


def _compare_with_receipt(one: CheckedPartition, entry: _Entry | None, replaced: Replaced, found: Findings) -> None:
    if one.content_hash is None or (
        entry is not None and replaced.lead(one.path, entry.content_hash, short_hash(one.content_hash))
    ):
        return
    found.add(one.finding("unfinished" if entry is None else "disagreeing"))


def _compare_schools(day: list[CheckedPartition], found: Findings) -> None:
    """Find the students with a live daily row in two schools of one day."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schools = [(one, one.students) for one in day if one.students is not None]
    if len(schools) < 2:
        return
    counted = pc.value_counts(pa.concat_arrays([students for _, students in schools]))
    twice = set(counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist())
    school_of: dict[str, str] = {}
    for one, students in schools if twice else ():
        for student in sorted(twice.intersection(students.to_pylist())):
            first = school_of.setdefault(student, one.name.school_id)
            if first != one.name.school_id:
                found.add(one.finding("in_two_schools", student_id=student, words=f"also in school {first}"))
