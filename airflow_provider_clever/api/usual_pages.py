"""A page of attendance that is exactly as documented, from bytes to an Arrow batch without a Python object per value.

This is a shortcut of :func:`~airflow_provider_clever.api.rows.decode_page` and no second definition of what may land:
for every page it gives either the same rows in the same canonical text, or None, and then the page goes the other way.

pyarrow holds no interpreter lock while it parses. Each of its compute functions gives the lock up too, and then stands
in line with all fetch threads to get it back; so columns are checked as the bytes that they are in memory instead.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import sub
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_clever.api.rows import MOST_ID_LETTERS, has_id_letters_only
from airflow_provider_clever.batches import BATCH_COLUMNS, SEPARATORS, length
from airflow_provider_clever.models import ATTENDANCE_STATUSES, ATTENDANCE_TYPES, date_from_text

if TYPE_CHECKING:
    import pyarrow as pa

_REQUIRED: Final = (
    "attendance_date",
    "student_id",
    "attendance_type",
    "attendance_status",
    "school_id",
    "district_id",
)
_DAY_LENGTH: Final = len("YYYY-MM-DD")
_MOMENT_LENGTH: Final = len("YYYY-MM-DDTHH:MM:SS.fffZ")
_MOMENT_MARKS: Final = ((0, b"2"), (10, b"T"), (19, b"."), (_MOMENT_LENGTH - 1, b"Z"))
"""What stands where in a timestamp as Clever writes it; the years from 2000 on are years to Arrow and Python alike."""


@dataclass(frozen=True, slots=True)
class UsualPage:
    """One page of attendance with nothing unusual in it.

    :param columns: the rows, in canonical text.
    :param days: start, end and date of each day's rows, in ascending order.
    :param district_ids: the districts that the rows name.
    :param school_ids: the schools that the rows name.
    :param unknown_values: field -> number of rows with a value there that Clever does not document.
    """

    columns: "pa.RecordBatch"
    days: Sequence[tuple[int, int, str]]
    district_ids: set[str]
    school_ids: set[str]
    unknown_values: Mapping[str, int]
    rejected: ClassVar[tuple[()]] = ()
    """Nothing is: a page with such a row is unusual."""

    def __repr__(self) -> str:
        return f"UsualPage({length(self.columns)} rows)"


@cache
def can_read() -> bool:
    """Whether pyarrow, which reads such pages, is installed."""
    try:
        import pyarrow.json  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def decode_usual_page(body: bytes) -> UsualPage | None:
    """Read a page of attendance, if it is one that has rows and nothing but what is documented.

    :param body: the page as Clever sent it.
    :returns: None if anything about it is unusual, or wrong.
    """
    import pyarrow as pa

    try:
        return _page(body)
    except (pa.ArrowInvalid, UnicodeDecodeError, ValueError):
        return None


def _page(body: bytes) -> UsualPage | None:
    import pyarrow as pa

    wire = _parsed(body)
    if wire is None or any(wire[name].null_count for name in _REQUIRED):
        return None
    for name in ("section_id", "excuse_code", "sis_id", "created", "last_modified"):
        wire[name] = _without_empty(wire[name])
    for name in ("student_id", "school_id", "district_id", "section_id"):
        _check_ids(wire[name])
    for name in ("attendance_status", "excuse_code", "sis_id"):
        _check_text(wire[name])
    for name in ("created", "last_modified"):
        wire[name] = _moments(wire[name])
    return UsualPage(
        columns=pa.record_batch([wire[name] for name in BATCH_COLUMNS], names=list(BATCH_COLUMNS)),
        days=list(_days(wire["attendance_date"])),
        district_ids=_distinct(wire["district_id"]),
        school_ids=_distinct(wire["school_id"]),
        unknown_values=_unknown_values(wire),
    )


def _parsed(body: bytes) -> "dict[str, pa.StringArray] | None":
    import pyarrow as pa
    import pyarrow.json

    # pyarrow ends the whole process where a null stands first in a file.
    if not body.lstrip().startswith(b"{"):
        return None
    # One block: a page that were cut into blocks could only be cut at a line break.
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1)
    pages = pyarrow.json.read_json(pa.BufferReader(body), reading, parse_options=_parse_options())
    if pages.num_rows != 1:
        return None
    # Parsing looks at no letter of a text; whatever is not UTF-8 must not get further.
    if not body.isascii():
        pages.validate(full=True)
    rows, links = (pages.column(name).chunk(0).flatten() for name in ("data", "links"))
    if links.null_count or any(part.null_count for part in links.flatten()):
        return None
    return dict(zip(BATCH_COLUMNS, rows.flatten(), strict=True)) if len(rows) else None


@cache
def _parse_options() -> Any:
    import pyarrow as pa
    import pyarrow.json

    text = pa.string()
    row = pa.struct([(name, text) for name in BATCH_COLUMNS])
    link = pa.struct([("rel", text), ("uri", text)])
    page = pa.schema([("data", pa.list_(row)), ("links", pa.list_(link))])
    return pyarrow.json.ParseOptions(explicit_schema=page, unexpected_field_behavior="error")


def _ends(column: "pa.StringArray") -> memoryview:
    """Where the first text begins, and where each one ends; one that is empty or null ends where it begins."""
    if column.offset:
        raise ValueError("part of another column")
    return memoryview(column.buffers()[1]).cast("i")[: len(column) + 1]


def _lengths(column: "pa.StringArray") -> Mapping[int, int]:
    """How often each length of a text comes in a column, in bytes; that of a null is 0."""
    count, ends = len(column), _ends(column)
    width = ends[count] // count
    if width and ends == _regular_ends(count, width):  # most columns are such
        return {width: count}
    return Counter(map(sub, ends[1:].tolist(), ends.tolist()))


@lru_cache(maxsize=128)
def _regular_ends(count: int, width: int) -> "array[int]":
    """Where texts of one length begin and end."""
    return array("i", range(0, count * width + 1, width))


def _distinct(column: "pa.StringArray") -> set[str]:
    """The values of a column without nulls, each once."""
    count, letters = len(column), _letters(column)
    first = letters[: len(letters) // count]
    if letters == first * count and _lengths(column).keys() == {len(first)}:
        return {first.decode()}
    return set(column.unique().to_pylist())


def _letters(column: "pa.StringArray") -> bytes:
    """All texts of a column, one after another, as they lie in memory since they were parsed."""
    return bytes(memoryview(column.buffers()[2])[: _ends(column)[len(column)]])


def _without_empty(column: "pa.StringArray") -> "pa.StringArray":
    """The column with null for each empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty_or_null = len(column) + 1 - len(set(_ends(column).tolist()))
    if empty_or_null == column.null_count:
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _check_ids(column: "pa.StringArray") -> None:
    lengths = _lengths(column)
    has_empty = lengths.get(0, 0) != column.null_count
    if has_empty or max(lengths) > MOST_ID_LETTERS or not has_id_letters_only(_letters(column)):
        raise ValueError("not usable ids")


def _check_text(column: "pa.StringArray") -> None:
    letters = _letters(column)
    if any(separator.encode() in letters for separator in SEPARATORS):
        raise ValueError("a separator")


def _moments(column: "pa.StringArray") -> "pa.StringArray":
    """Canonical text of timestamps that are written as Clever writes them (clever-api.md 2.1)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    letters = _letters(column)
    count = len(letters) // _MOMENT_LENGTH
    is_usual = _lengths(column).keys() <= {0, _MOMENT_LENGTH}
    if not is_usual or any(letters[place::_MOMENT_LENGTH] != mark * count for place, mark in _MOMENT_MARKS):
        raise ValueError("written in another way")
    pc.cast(column, pa.timestamp("ms", "UTC"))  # it raises for what is no instant
    return pc.binary_replace_slice(column, _MOMENT_LENGTH - 1, _MOMENT_LENGTH, "000Z") if count else column


def _days(column: "pa.StringArray") -> Iterator[tuple[int, int, str]]:
    """Start, end and date of each day's rows.

    :raises ValueError: there is something that is no day, or the days are not in ascending order.
    """
    if _lengths(column).keys() != {_DAY_LENGTH}:
        raise ValueError("not days")
    letters, count, start, last = _letters(column), len(column), 0, ""
    while start < count:
        day = letters[start * _DAY_LENGTH : (start + 1) * _DAY_LENGTH]
        end = letters.rfind(day) // _DAY_LENGTH + 1
        if letters[start * _DAY_LENGTH : end * _DAY_LENGTH] != day * (end - start) or day.decode() <= last:
            raise ValueError("days out of order")
        last = date_from_text(day.decode()).isoformat()
        yield start, end, last
        start = end


def _unknown_values(wire: "dict[str, pa.StringArray]") -> dict[str, int]:
    if not _distinct(wire["attendance_type"]) <= ATTENDANCE_TYPES:
        raise ValueError("a type that is not documented")
    unknown = _distinct(wire["attendance_status"]) - ATTENDANCE_STATUSES
    if "" in unknown:
        raise ValueError("a status is empty")
    count = sum(status in unknown for status in wire["attendance_status"].to_pylist()) if unknown else 0
    return {"attendance_status": count} if unknown else {}
