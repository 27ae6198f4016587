"""Decides what stays of an object when students, a district, or the days before one are forgotten. No I/O."""

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.exceptions import CleverDataError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.denied_rows import MENTIONS, STUDENT, mentions, redacted, redacted_value
from airflow_provider_clever.lake.forgotten import Denied, unescaped
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.table.monthly_parquet import parse_month_path

ObjectKind: TypeAlias = Literal["partitions", "changes", "quarantine", "months", "bookkeeping", "unknown"]

_SHORTENED: Final = 12
"""How many first characters of an id identify it where text was cut off."""
_FOLDERS: Final[dict[str, ObjectKind]] = {
    "changes": "changes",
    "quarantine": "quarantine",
    **dict.fromkeys(("receipts", "partitions", "forgotten", "local"), "bookkeeping"),
}
_FILES: Final = frozenset(
    {
        *("destination.json", "coverage.json", "status.json", "answers.json", "alerts.json"),
        *("forgotten.json.gz", "months.json", "tables.json"),
    }
)
_KEPT: Final = (["destination.json"], ["forgotten.json.gz"], ["tables.json"])
"""What stays of a forgotten district: the tombstone, the file that keeps older versions out, and the list of tables."""


class Cleaned(NamedTuple):
    """What becomes of an object that holds something to forget.

    :param data: its new content; None: it is removed.
    :param rows: how many rows are removed.
    :param before: content hash of the partition as it is; None: it is no partition.
    :param after: content hash of the rows that stay.
    :param entries: hashes of entries that were learned from it, by the hash of the student.
    """

    data: bytes | None
    rows: int
    before: str | None = None
    after: str | None = None
    entries: Mapping[str, frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"Cleaned({self.rows} rows)"


class Rule(Protocol):
    """What is to be forgotten."""

    def verdict(self, path: str) -> Literal["stays", "goes", "read"]:
        """Say whether the object at a path stays or goes whatever it holds, or has to be read."""
        ...

    def clean(self, path: str, data: bytes) -> Cleaned | None:
        """Say what becomes of an object. None: it stays as it is.

        :raises ValueError: these bytes are not such an object.
        """
        ...


def kind_of(path: str) -> ObjectKind:
    """Tell what kind of object is at a path, relative to the destination."""
    if layout.parse_partition_path(path):
        return "partitions"
    top, _, *rest = path.split("/")
    if parse_month_path(path):
        return "months"
    if top == "schools" and rest == ["schools.parquet"]:
        return "bookkeeping"
    if top != "_clever" or not rest:
        return "unknown"
    if len(rest) == 1:
        return "bookkeeping" if rest[0] in _FILES else "unknown"
    return _FOLDERS.get(rest[0], "unknown")


class Students:
    """Forget students: remove their rows, and every mention of them.

    :param denied: recognizes them by keyed hashes.
    :param ids: their ids, where known: then they are also found where text was cut off.
    """

    def __init__(self, denied: Denied, ids: Iterable[str] = ()) -> None:
        self.denied = denied
        self._ids = tuple(ids)
        self._long_ids = tuple(one for one in self._ids if len(one) >= _SHORTENED)

    def verdict(self, path: str) -> Literal["stays", "goes", "read"]:
        """Partitions, changes, quarantine and months may hold rows."""
        return "read" if kind_of(path) in ("partitions", "changes", "quarantine", "months") else "stays"

    def learn(self, entries: Iterable[str]) -> None:
        """Learn hashes of entries, which identify rows without a usable student."""
        self.denied = Denied(self.denied.key, self.denied.students, self.denied.entries.union(entries))

    def clean(self, path: str, data: bytes) -> Cleaned | None:
        """Give the object without these students."""
        name = layout.parse_partition_path(path)
        if name is not None:
            return self._partition(data, name.file_format)
        if kind_of(path) == "months":
            return removed(path, data) if self._may_hold(data, "parquet") else None
        return self._changes(data) if kind_of(path) == "changes" else self._quarantine(data)

    def _partition(self, data: bytes, file_format: str) -> Cleaned | None:
        if not self._may_hold(data, file_format):
            return None
        import pyarrow as pa

        landed = FORMATS[file_format].read(data)
        batch = landed.rows
        students = batch["student_id"].to_pylist()
        goes = [self.denied.is_student(student) for student in students]
        lost = batch.filter(pa.array(goes, pa.bool_()))
        kept = redacted(batch.filter(pa.array([not one for one in goes], pa.bool_())), self.denied)
        found: dict[str, set[str]] = {}
        for student, school, sis_id in zip(
            lost["student_id"].to_pylist(), lost["school_id"].to_pylist(), lost["sis_id"].to_pylist(), strict=True
        ):
            self._learn(found, student, school, sis_id)
        after = content_hash(kept)
        return Cleaned(
            FORMATS[file_format].write(kept, after), lost.num_rows, landed.content_hash, after, _frozen(found)
        )

    def _may_hold(self, data: bytes, file_format: str) -> bool:
        """Whether a partition names one of the students, found out as cheaply as possible."""
        if file_format == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                with pq.ParquetFile(pa.BufferReader(data)) as file:
                    batches = file.iter_batches(columns=[STUDENT, *MENTIONS], use_threads=False)
                    return any(mentions(batch, self.denied) for batch in batches)
            except (pa.ArrowException, OSError) as error:
                msg = f"not a whole Parquet file ({type(error).__name__})"
                raise ValueError(msg) from None
        text = _gunzipped(data)
        if self._ids and b"\\u" not in text and not any(one.encode() in text for one in self._ids):
            return False
        return mentions(FORMATS[file_format].read(data).rows, self.denied)

    def _changes(self, data: bytes) -> Cleaned | None:
        document = read_gzipped_json(data)
        changes, kept, is_redacted = document["changes"], [], False
        found: dict[str, set[str]] = {}
        for change in changes:
            rows = [row for row in (change["before"], change["after"]) if row]
            if any(self.denied.is_student(row["student_id"]) for row in rows):
                for row in rows:
                    self._learn(found, row["student_id"], row["school_id"], row["sis_id"])
                continue
            for row in rows:
                for name in MENTIONS:
                    value = row.get(name)
                    if value and (new := redacted_value(name, value, self.denied)) != value:
                        row[name], is_redacted = new, True
            kept.append(change)
        if len(kept) == len(changes) and not is_redacted:
            return None
        return Cleaned(gzipped_json({**document, "changes": kept}), len(changes) - len(kept), entries=_frozen(found))

    def _quarantine(self, data: bytes) -> Cleaned | None:
        entries = read_gzipped_json(data)
        found: dict[str, set[str]] = {}
        gone = [digest for digest, entry in entries.items() if self._is_rejected(str(entry["raw"]), found)]
        if not gone:
            return None
        kept = {digest: entry for digest, entry in entries.items() if digest not in gone}
        return Cleaned(gzipped_json(kept), len(gone), entries=_frozen(found))

    def _is_rejected(self, raw: str, found: dict[str, set[str]]) -> bool:
        row = _json_or_none(raw)
        student = row.get("student_id") if isinstance(row, dict) else None
        if isinstance(student, str) and self.denied.is_student(student) and isinstance(row, dict):
            self._learn(found, student, row.get("school_id"), row.get("sis_id"))
            return True
        if self.denied.is_rejected(row, raw):
            return True
        texts = (raw, unescaped(raw))
        return any(
            one[:_SHORTENED] in text and not _is_another(student, one) for one in self._long_ids for text in texts
        )

    def _learn(self, found: dict[str, set[str]], student: Any, school: Any, sis_id: Any) -> None:
        known = found.setdefault(self.denied.key.student(str(student)), set())
        if isinstance(school, str) and sis_id not in (None, ""):
            known.add(self.denied.key.entry(school, str(sis_id)))


def _is_another(student: object, wanted: str) -> bool:
    """Whether a row is about another student, whose id only begins like the wanted one."""
    return isinstance(student, str) and len(student) >= len(wanted) and student != wanted


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {student: frozenset(entries) for student, entries in found.items()}


def _json_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _gunzipped(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"not whole gzipped JSON lines ({type(error).__name__})"
        raise ValueError(msg) from None


class WholeDistrict:
    """Forget all of a district, but keep the tombstone."""

    def verdict(self, path: str) -> Literal["stays", "goes", "read"]:
        """Everything goes but the tombstone, receipts, locks, and the file that keeps older versions out."""
        rest = path.split("/")[2:]
        is_ours = path.startswith("_clever/")
        stays = is_ours and (rest in _KEPT or rest[:1] in (["forgotten"], ["local"]))
        return "stays" if stays else "goes"

    def clean(self, path: str, data: bytes) -> Cleaned | None:
        """Remove the object, and count its rows."""
        return removed(path, data)


class Days:
    """Forget the days before one.

    :param before: the first day that stays, ``YYYY-MM-DD``.
    """

    def __init__(self, before: str) -> None:
        self.before = before

    def verdict(self, path: str) -> Literal["stays", "goes", "read"]:
        """The names of partitions and changes contain their day; quarantine has to be read."""
        kind, name = kind_of(path), layout.parse_partition_path(path)
        if name is not None:
            return "goes" if name.attendance_date < self.before else "stays"
        if kind == "changes":
            return "goes" if path.rpartition("/")[2][:10] < self.before else "stays"
        if kind == "months":
            month = path.rpartition("month=")[2][:7]
            return "goes" if f"{month}-31" < self.before else "read" if f"{month}-01" < self.before else "stays"
        return "read" if kind == "quarantine" else "stays"

    def clean(self, path: str, data: bytes) -> Cleaned | None:
        """Remove the object; in quarantine, rows of later days stay."""
        if kind_of(path) == "months" and _first_day(data) >= self.before:
            return None
        if kind_of(path) != "quarantine":
            return removed(path, data)
        entries = read_gzipped_json(data)
        kept = {digest: entry for digest, entry in entries.items() if self._stays(entry)}
        return Cleaned(gzipped_json(kept), len(entries) - len(kept)) if len(kept) < len(entries) else None

    def _stays(self, entry: Mapping[str, Any]) -> bool:
        row, first_seen = _json_or_none(str(entry["raw"])), str(entry["first_seen"])
        day = row.get("attendance_date") if isinstance(row, dict) else None
        try:
            own = layout.checked_date(str(day))
        except CleverDataError:
            own = first_seen
        # What was seen before its day came has a wrong date, which must not keep it for ever.
        return min(own, first_seen) >= self.before


def first_kept_day(years: int, now: datetime) -> str:
    """Give the first day that stays when days older than some years are forgotten."""
    today = now.astimezone(UTC).date()
    is_leap_day = (today.month, today.day) == (2, 29)
    return today.replace(year=today.year - years, day=28 if is_leap_day else today.day).isoformat()


def _first_day(data: bytes) -> str:
    """Give the first day with rows in a month's file; without rows, a day after all others.

    :raises ValueError: these bytes are no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(pa.BufferReader(data))
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        return min((f"{group.column(0).statistics.min}" for group in groups), default="9999-12-31")
    except (pa.ArrowException, OSError, AttributeError) as error:
        msg = f"not a whole Parquet file ({type(error).__name__})"
        raise ValueError(msg) from None


def removed(path: str, data: bytes) -> Cleaned:
    """Remove an object as a whole, and count its rows as far as it can be read."""
    name, kind = layout.parse_partition_path(path), kind_of(path)
    try:
        if name is not None:
            mark = FORMATS[name.file_format].read_mark(data)
            return Cleaned(None, mark.rows, mark.content_hash)
        if kind in ("changes", "quarantine"):
            document = read_gzipped_json(data)
            return Cleaned(None, len(document["changes"] if kind == "changes" else document))
    except (ValueError, KeyError, TypeError):
        return Cleaned(None, 0)
    return Cleaned(None, 0)
