"""Check that what landed is unchanged: read everything again, and compare it with itself and with the receipts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_clever.attendance.keys import keys
from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.dates import DateRange, gaps
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.formats import FORMATS, DamagedPartitionError
from airflow_provider_clever.lake.layout import PartitionName
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.storage.compressed import read_gzipped_json
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

READERS: Final = 8
"""How many partitions are read at once; also how many are in memory."""

KINDS: Final = {
    "damaged": "objects that cannot be read, or whose rows are not those that were written",
    "strange": "objects among the partitions that are none",
    "duplicate_keys": "keys that stand twice in a partition",
    "misplaced_rows": "rows in the partition of another district, school or day",
    "lost": "partitions that a receipt speaks of and that are not there",
    "disagreeing": "partitions whose rows are not those that the newest receipt speaks of",
    "unfinished": "partitions that no receipt speaks of yet: a run is under way, or ended before its receipt",
    "uncovered_days": "calendar days of a school that no complete pull covered, between its first and last covered day",
    "missing_at_clever": "rows that Clever no longer has",
    "in_two_schools": "student-days with a live daily row in two schools",
}
"""What verify looks for, in words."""

HARMLESS: Final = frozenset({"missing_at_clever", "in_two_schools"})
"""What the district did, not we: reported, but nothing is wrong with the landed files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found, with ids: for the details file, never for a log.

    :param kind: one of :data:`KINDS`.
    :param path: of the object, relative to the destination; or of the prefix, for days.
    :param count: how many keys, rows or days.
    """

    kind: str
    district_id: str
    path: str
    count: int = 1
    school_id: str | None = None
    attendance_date: str | None = None
    student_id: str | None = field(default=None, repr=False)
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was read, and what was found.

    :param districts: the districts that were read.
    :param partitions: how many partitions were read.
    :param rows: how many rows they hold.
    :param receipts: how many receipts were read.
    :param counts: how often each of :data:`KINDS` was found.
    """

    districts: tuple[str, ...]
    partitions: int
    rows: int
    receipts: int
    counts: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the landed files."""
        return not any(count for kind, count in self.counts.items() if kind not in HARMLESS)


class _Spoken(NamedTuple):
    """What the newest receipt says of a partition."""

    finished_at: str
    content_hash: str
    file_format: str


class _Read(NamedTuple):
    """A partition that could be read."""

    name: PartitionName
    rows: "pa.RecordBatch"
    content_hash: str

    def __repr__(self) -> str:
        return f"_Read({self.name})"


def verify(
    fs: "AbstractFileSystem",
    root: str,
    *,
    districts: Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    details: Callable[[Finding], None] | None = None,
) -> VerifyReport:
    """Read everything at a destination again, and say what is wrong.

    Run it while no pull is running: what a pull has written, but not yet put into its receipt, counts as wrong. One day
    of one district is in memory at a time.

    :param districts: whose; None: every district that has landed anything.
    :param progress: is told how many days are done, and of how many.
    :param details: is given every finding, with ids.
    :raises CleverLandingError: if the destination cannot be read.
    """
    objects = layout.objects_at(fs, root, single_writer=True)
    chosen = tuple(sorted(districts)) if districts is not None else districts_at(objects)
    folders = [(district, folder) for district in chosen for folder in objects.names(layout.landed_prefix(district))]
    tally = _Tally(details)
    if not {*districts_at(objects)} - {*chosen}:  # a question about one district is not about folders of none
        for name in _district_folders(objects):
            if not is_clever_id(name.rpartition("/district=")[2]):
                tally.add(Finding(kind="strange", district_id="", path=name, words="a folder of no district"))
    done = 0
    for district in chosen:
        spoken = _check_receipts(objects, district, tally)
        _check_ours(objects, district, tally)
        for folder in (folder for owner, folder in folders if owner == district):
            _check_day(objects, district, folder, spoken, tally)
            done += 1
            if progress:
                progress(done, len(folders))
        for (school_id, day), entry in spoken.items():
            path = layout.partition_path(district, day, school_id, entry.file_format)
            tally.add(Finding(kind="lost", district_id=district, path=path, school_id=school_id, attendance_date=day))
    return VerifyReport(
        districts=chosen,
        partitions=tally.read["partitions"],
        rows=tally.read["rows"],
        receipts=tally.read["receipts"],
        counts={kind: tally.found[kind] for kind in KINDS},
    )


class _Tally:
    """Counts findings, and passes them on."""

    def __init__(self, details: Callable[[Finding], None] | None) -> None:
        self.found: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self._details = details

    def add(self, finding: Finding) -> None:
        """Count one finding; nothing was found if its count is zero."""
        if finding.count:
            self.found[finding.kind] += finding.count
            if self._details:
                self._details(finding)


def districts_at(objects: Objects) -> tuple[str, ...]:
    """The districts that have a folder at a destination.

    :raises CleverLandingError: it cannot be listed.
    """
    found = {name.rpartition("/district=")[2] for name in _district_folders(objects)}
    return tuple(sorted(filter(is_clever_id, found)))


def _district_folders(objects: Objects) -> list[str]:
    return [name for folder in ("attendance", "_clever") for name in objects.names(folder) if "/district=" in name]


# --- receipts ---------------------------------------------------------------------------------------------------------


def _check_receipts(objects: Objects, district: str, tally: _Tally) -> dict[tuple[str, str], _Spoken]:
    spoken: dict[tuple[str, str], _Spoken] = {}
    covered: dict[str, list[DateRange]] = {}

    def damaged(path: str, _: Exception) -> None:
        tally.add(Finding(kind="damaged", district_id=district, path=path, words="a receipt"))

    for receipt in read_receipts(objects, district, damaged=damaged):
        tally.read["receipts"] += 1
        for school_id, school in receipt.schools.items():
            covered.setdefault(school_id, []).extend(school.covered)
        for partition, entry in _entries(receipt):
            if partition not in spoken or spoken[partition].finished_at < entry.finished_at:
                spoken[partition] = entry
    for school_id, ranges in sorted(covered.items()):
        for gap in gaps(ranges):
            tally.add(
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


def _entries(receipt: Receipt) -> Iterator[tuple[tuple[str, str], _Spoken]]:
    for school_id, school in receipt.schools.items():
        hashes = {day: changes.short_hash(partition.content_hash) for day, partition in school.written.items()}
        for day, content_hash in (school.unchanged | hashes).items():
            yield (school_id, day), _Spoken(receipt.finished_at, content_hash, receipt.file_format)


def _check_ours(objects: Objects, district: str, tally: _Tally) -> None:
    """Read the correction feed and the quarantine; only whether they can be read."""
    paths = [*objects.names(layout.our_path(district, "quarantine"))]
    for month in objects.names(layout.our_path(district, "changes")):
        for work in objects.names(month):
            paths.extend(objects.names(work))
    for path in paths:
        try:
            read_gzipped_json(_bytes(objects, path))
        except (ValueError, CleverLandingError) as error:
            tally.add(Finding(kind="damaged", district_id=district, path=path, words=str(error)))


def _bytes(objects: Objects, path: str) -> bytes:
    found = objects.read(path)
    return found[0] if found else b""


# --- partitions -------------------------------------------------------------------------------------------------------


def _check_day(
    objects: Objects, district: str, folder: str, spoken: dict[tuple[str, str], _Spoken], tally: _Tally
) -> None:
    school_of: dict[str, str] = {}
    names = []
    for path in objects.names(folder):
        name = layout.parse_partition_path(path)
        if name is None:
            tally.add(Finding(kind="strange", district_id=district, path=path))
        else:
            names.append((path, name))
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(names), READERS):
            some = names[start : start + READERS]
            reading = [readers.submit(_bytes, objects, path) for path, _ in some]
            for (path, name), data in zip(some, reading, strict=True):
                entry = spoken.pop((name.school_id, name.attendance_date), None)
                read = _checked_partition(path, name, data.result, tally)
                if read is not None:
                    _check_against_receipt(path, read, entry, tally)
                    _check_schools(path, read, school_of, tally)


def _checked_partition(path: str, name: PartitionName, data: Callable[[], bytes], tally: _Tally) -> _Read | None:
    where: dict[str, Any] = {
        "district_id": name.district_id,
        "path": path,
        "school_id": name.school_id,
        "attendance_date": name.attendance_date,
    }
    tally.read["partitions"] += 1
    try:
        landed = FORMATS[name.file_format].read(data())
    except (DamagedPartitionError, CleverLandingError) as error:  # the latter: the store does not give it
        tally.add(Finding(kind="damaged", words=str(error), **where))
        return None
    if landed.marked_hash not in (None, landed.content_hash):
        tally.add(Finding(kind="damaged", words="its rows are not those that were written", **where))
        return None
    rows = landed.rows
    tally.read["rows"] += rows.num_rows
    tally.add(Finding(kind="duplicate_keys", count=rows.num_rows - len(set(keys(rows))), **where))
    tally.add(Finding(kind="misplaced_rows", count=_misplaced(rows, name), **where))
    missing = rows.num_rows - rows["missing_since"].null_count
    tally.add(Finding(kind="missing_at_clever", count=missing, **where))
    return _Read(name, rows, landed.content_hash)


def _misplaced(rows: "pa.RecordBatch", name: PartitionName) -> int:
    """How many rows belong to another district, school or day."""
    import pyarrow.compute as pc

    here = (name.district_id, name.school_id, date.fromisoformat(name.attendance_date))
    columns = (rows["district_id"], rows["school_id"], rows["attendance_date"])
    is_here = (pc.equal(column, value) for column, value in zip(columns, here, strict=True))
    return int(reduce(pc.and_, is_here).false_count)


def _check_against_receipt(path: str, read: _Read, entry: _Spoken | None, tally: _Tally) -> None:
    if entry is not None and entry.content_hash == changes.short_hash(read.content_hash):
        return
    tally.add(
        Finding(
            kind="unfinished" if entry is None else "disagreeing",
            district_id=read.name.district_id,
            path=path,
            school_id=read.name.school_id,
            attendance_date=read.name.attendance_date,
        )
    )


def _check_schools(path: str, read: _Read, school_of: dict[str, str], tally: _Tally) -> None:
    names = ("student_id", "attendance_type", "missing_since")
    live = {
        student
        for student, kind, missing in zip(*(read.rows[name].to_pylist() for name in names), strict=True)
        if kind == "daily" and missing is None
    }
    for student in sorted(live):
        if school_of.setdefault(student, read.name.school_id) != read.name.school_id:
            tally.add(
                Finding(
                    kind="in_two_schools",
                    district_id=read.name.district_id,
                    path=path,
                    school_id=read.name.school_id,
                    attendance_date=read.name.attendance_date,
                    student_id=student,
                    words=f"also in school {school_of[student]}",
                )
            )
