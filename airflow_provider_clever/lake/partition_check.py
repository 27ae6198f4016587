"""Checks one partition: whether its rows are those that were written, and belong there."""

from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from airflow_provider_clever.attendance.content import is_in_key_order
from airflow_provider_clever.attendance.keys import keys
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.findings import Finding
from airflow_provider_clever.lake.formats import FORMATS, DamagedPartitionError
from airflow_provider_clever.lake.layout import PartitionName
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CheckedPartition:
    """A checked partition, with what the check of its day needs.

    :param findings: what is wrong with the partition itself.
    :param rows: how many rows it holds.
    :param content_hash: of the rows; None: it cannot be read.
    :param students: those with a live daily row, each once.
    """

    path: str
    name: PartitionName
    findings: tuple[Finding, ...]
    rows: int = 0
    content_hash: str | None = None
    students: "pa.StringArray | None" = field(default=None, repr=False)

    def finding(self, kind: str, *, student_id: str | None = None, words: str = "") -> Finding:
        """Make a finding about this partition."""
        return _about(self.path, self.name, kind, student_id=student_id, words=words)


def check_partition(objects: Objects, path: str, name: PartitionName) -> CheckedPartition:
    """Read a partition and check it by itself. Almost all of it is done in Arrow, without the interpreter's lock.

    :param path: relative to the destination.
    :param name: what the path says.
    """
    try:
        found = objects.read(path)
        landed = FORMATS[name.file_format].read(found[0] if found else b"")
    except (DamagedPartitionError, CleverLandingError) as error:  # the latter: the store does not give it
        return CheckedPartition(path, name, (_about(path, name, "damaged", words=str(error)),))
    if landed.marked_hash not in (None, landed.content_hash):
        words = "its rows are not those that were written"
        return CheckedPartition(path, name, (_about(path, name, "damaged", words=words),))
    rows = landed.rows
    counts = {
        "duplicate_keys": 0 if is_in_key_order(rows) else rows.num_rows - len(set(keys(rows))),
        "misplaced_rows": _misplaced(rows, name),
        "missing_at_clever": rows.num_rows - rows["missing_since"].null_count,
    }
    findings = tuple(_about(path, name, kind, count=count) for kind, count in counts.items() if count)
    return CheckedPartition(path, name, findings, rows.num_rows, landed.content_hash, _live_students(rows))


def _about(
    path: str, name: PartitionName, kind: str, *, count: int = 1, student_id: str | None = None, words: str = ""
) -> Finding:
    return Finding(
        kind=kind,
        district_id=name.district_id,
        path=path,
        count=count,
        school_id=name.school_id,
        attendance_date=name.attendance_date,
        student_id=student_id,
        words=words,
    )


def _misplaced(rows: "pa.RecordBatch", name: PartitionName) -> int:
    """Count the rows that belong to another district, school or day."""
    import pyarrow.compute as pc

    here = (name.district_id, name.school_id, date.fromisoformat(name.attendance_date))
    columns = (rows["district_id"], rows["school_id"], rows["attendance_date"])
    is_here = (pc.equal(column, value) for column, value in zip(columns, here, strict=True))
    return int(reduce(pc.and_, is_here).false_count)


def _live_students(rows: "pa.RecordBatch") -> "pa.StringArray":
    """The students with a daily row that is not marked, each once."""
    import pyarrow.compute as pc

    is_live = pc.and_(pc.equal(rows["attendance_type"], "daily"), rows["missing_since"].is_null())
    return pc.unique(rows["student_id"].filter(is_live))
