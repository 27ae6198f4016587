"""A page of attendance that is exactly as documented, from bytes to an Arrow batch without a Python object per value.

This is a shortcut of :func:`~airflow_provider_clever.api.rows.decode_page` and no second definition of what may land:
for every page it gives either the same rows in the same canonical text, or None, and then the page goes the other way.

pyarrow holds no interpreter lock while it parses. Each of its compute functions gives the lock up too, and then stands
in line with all other threads to get it back; so columns are checked as the bytes that they are in memory instead.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from airflow_provider_clever.api.rows import MOST_ID_LETTERS, has_id_letters_only
from airflow_provider_clever.attendance.batches import BATCH_COLUMNS, ends_and_letters, length
from airflow_provider_clever.attendance.schema import ATTENDANCE_STATUSES, ATTENDANCE_TYPES, FIELDS, names
from airflow_provider_clever.dates import date_from_text

if TYPE_CHECKING:
    import pyarrow as pa

_REQUIRED: Final = names(lambda column: column.required, columns=FIELDS)
_IDS: Final = names(lambda column: column.kind == "id", columns=FIELDS)
_MAY_BE_EMPTY: Final = names(lambda column: not column.required and column.kind != "timestamp", columns=FIELDS)
_MOMENTS: Final = names(lambda column: column.kind == "timestamp", columns=FIELDS)
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
    """Whether pyarrow, which reads such pages, is installed, and numbers are in memory as they are looked at here."""
    try:
        import pyarrow.json  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return sys.byteorder == "little"


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
    if wire is None:
        return None
    columns = {name: _Column.of(array) for name, array in wire.items()}
    if any(0 in columns[name].lengths for name in _REQUIRED):
        return None
    for name in _IDS:
        columns[name].check_ids()
    for name in _MAY_BE_EMPTY:
        wire[name] = columns[name].without_empty()
    wire.update(_moments({name: columns[name] for name in _MOMENTS}))
    return UsualPage(
        columns=pa.record_batch([wire[name] for name in BATCH_COLUMNS], names=list(BATCH_COLUMNS)),
        days=list(_days(columns["attendance_date"])),
        district_ids=columns["district_id"].distinct(),
        school_ids=columns["school_id"].distinct(),
        unknown_values=_unknown_values(columns["attendance_type"], columns["attendance_status"]),
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
    rows, links = (pages.column(name).chunk(0).values for name in ("data", "links"))
    if rows.null_count or links.null_count or any(links.field(name).null_count for name in ("rel", "uri")):
        return None
    return {name: rows.field(name) for name in BATCH_COLUMNS} if len(rows) else None


@cache
def _parse_options() -> Any:
    import pyarrow as pa
    import pyarrow.json

    text = pa.string()
    row = pa.struct([(name, text) for name in BATCH_COLUMNS])
    link = pa.struct([("rel", text), ("uri", text)])
    page = pa.schema([("data", pa.list_(row)), ("links", pa.list_(link))])
    return pyarrow.json.ParseOptions(explicit_schema=page, unexpected_field_behavior="error")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of texts as the bytes that it is in memory.

    :param array: the column.
    :param letters: all texts, one after another.
    :param lengths: of each text in bytes, a byte each; 0 of one that is empty or null.
    """

    array: "pa.StringArray"
    letters: bytes = field(repr=False)
    lengths: bytes = field(repr=False)

    @classmethod
    def of(cls, array: "pa.StringArray") -> Self:
        """Look at a column.

        :raises ValueError: a text is longer than 255 bytes.
        """
        ends, letters = ends_and_letters(array)
        return cls(array, letters, _differences(ends, len(array)))

    def distinct(self) -> set[str]:
        """The texts of a column without nulls, each once."""
        first = self.letters[: self.lengths[0]]
        if self.has_lengths(len(first)) and self.letters == first * len(self.lengths):
            return {first.decode()}
        return set(self.array.unique().to_pylist())

    def has_lengths(self, *lengths: int) -> bool:
        """Whether no text has another length."""
        return sum(map(self.lengths.count, lengths)) == len(self.lengths)

    def without_empty(self) -> "pa.StringArray":
        """The column with null for each empty text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.lengths.count(0) == self.array.null_count:
            return self.array
        return pc.if_else(pc.equal(self.array, ""), pa.scalar(None, pa.string()), self.array)

    def check_ids(self) -> None:
        """Make sure that each text is an id, or empty, or null."""
        if self.lengths.translate(None, _ID_LENGTHS) or not has_id_letters_only(self.letters):
            raise ValueError("not usable ids")


_ID_LENGTHS: Final = bytes(range(MOST_ID_LETTERS + 1))
_END_BYTES: Final = 4
"""Arrow notes where a text ends as an int32."""


def _differences(ends: bytes, count: int) -> bytes:
    """By how much each number is above the one before it, a byte each.

    :param ends: one number more than there are differences, ascending, of four bytes each.
    :raises ValueError: by more than 255.
    """
    width = int.from_bytes(ends[-_END_BYTES:], "little") // count
    if width < 256 and ends == _multiples(width, count):  # most columns are such
        return bytes((width,)) * count
    # One number of many digits less another: no difference is negative, so no digit borrows from the next one.
    later, earlier = (int.from_bytes(part, "little") for part in (ends[_END_BYTES:], ends[:-_END_BYTES]))
    found = later - earlier
    if found & _above_one_byte(count):
        raise ValueError("a long text")
    return found.to_bytes(_END_BYTES * count, "little")[::_END_BYTES]


@lru_cache(maxsize=128)
def _multiples(width: int, count: int) -> bytes:
    """The ends of so many texts of one length."""
    return array("i", [width * number for number in range(count + 1)]).tobytes()


@lru_cache(maxsize=128)
def _above_one_byte(count: int) -> int:
    """All bits of so many int32 but their lowest eight."""
    return int.from_bytes(b"\x00\xff\xff\xff" * count, "little")


def _moments(columns: "Mapping[str, _Column]") -> "Mapping[str, pa.StringArray]":
    """Canonical text of timestamps that are written as Clever writes them (clever-api.md 2.1)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in columns.values():
        count = len(column.letters) // _MOMENT_LENGTH
        is_usual = column.has_lengths(0, _MOMENT_LENGTH)
        if not is_usual or any(column.letters[place::_MOMENT_LENGTH] != mark * count for place, mark in _MOMENT_MARKS):
            raise ValueError("written in another way")
    # All at once, for between two calls another thread may take the interpreter lock.
    texts = pa.chunked_array([column.without_empty() for column in columns.values()])
    pc.cast(texts, pa.timestamp("ms", "UTC"))  # it raises for what is no instant
    canonical = pc.binary_replace_slice(texts, _MOMENT_LENGTH - 1, _MOMENT_LENGTH, "000Z")
    return dict(zip(columns, canonical.chunks, strict=True))


def _days(column: _Column) -> Iterator[tuple[int, int, str]]:
    """Start, end and date of each day's rows.

    :raises ValueError: there is something that is no day, or the days are not in ascending order.
    """
    if not column.has_lengths(_DAY_LENGTH):
        raise ValueError("not days")
    letters, count, start, last = column.letters, len(column.lengths), 0, ""
    while start < count:
        day = letters[start * _DAY_LENGTH : (start + 1) * _DAY_LENGTH]
        end = letters.rfind(day) // _DAY_LENGTH + 1
        if letters[start * _DAY_LENGTH : end * _DAY_LENGTH] != day * (end - start) or day.decode() <= last:
            raise ValueError("days out of order")
        last = date_from_text(day.decode()).isoformat()
        yield start, end, last
        start = end


def _unknown_values(types: _Column, statuses: _Column) -> dict[str, int]:
    if not types.distinct() <= ATTENDANCE_TYPES:
        raise ValueError("a type that is not documented")
    unknown = statuses.distinct() - ATTENDANCE_STATUSES
    count = sum(status in unknown for status in statuses.array.to_pylist()) if unknown else 0
    return {"attendance_status": count} if unknown else {}
