"""A page of attendance that is exactly as documented, from bytes to an Arrow batch without a Python object per value.

This is a shortcut of :func:`~airflow_provider_clever.api.rows.decode_page` and no second definition of what may land:
for every page it gives either the same rows in the same canonical text, or None, and then the page goes the other way.
pyarrow holds no interpreter lock while it parses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_clever.api.rows import MOST_ID_LETTERS, has_id_letters_only
from airflow_provider_clever.batches import BATCH_COLUMNS, distinct, length, stretches
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
_MOMENT_LENGTH: Final = len("YYYY-MM-DDTHH:MM:SS.fffZ")
_MOMENT_MARKS: Final = ((0, b"2"), (10, b"T"), (19, b"."), (_MOMENT_LENGTH - 1, b"Z"))
"""What stands where in a timestamp as Clever writes it; the years from 2000 on are years to Arrow and Python alike."""


@dataclass(frozen=True, slots=True)
class UsualPage:
    """One page of attendance with nothing unusual in it; its rows are in the order of their days.

    :param columns: the rows, in canonical text.
    :param unknown_values: field -> number of rows with a value there that Clever does not document.
    """

    columns: "pa.RecordBatch"
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
    for name in ("student_id", "school_id", "district_id", "section_id"):
        _check_ids(wire[name])
    columns = {
        **wire,
        "created": _moments(wire["created"]),
        "last_modified": _moments(wire["last_modified"]),
        "excuse_code": _text_or_null(wire["excuse_code"]),
        "sis_id": _text_or_null(wire["sis_id"]),
    }
    batch = pa.record_batch([columns[name] for name in BATCH_COLUMNS], names=list(BATCH_COLUMNS))
    days = [date_from_text(day) for _, _, day in stretches(batch, "attendance_date")]
    return UsualPage(batch, _unknown_values(batch)) if days == sorted(days) else None


def _parsed(body: bytes) -> "dict[str, pa.StringArray] | None":
    import pyarrow as pa
    import pyarrow.json

    # One block: a page that were cut into blocks could only be cut at a line break.
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1)
    pages = pyarrow.json.read_json(pa.BufferReader(body), read_options=reading, parse_options=_parse_options())
    if pages.num_rows != 1:
        return None
    rows = pages.column("data").chunk(0).flatten()
    # Parsing looks at no letter of a text; whatever is not UTF-8 must not get further.
    if not body.isascii():
        rows.validate(full=True)
    return dict(zip(BATCH_COLUMNS, rows.flatten(), strict=True)) if len(rows) and not rows.null_count else None


@cache
def _parse_options() -> Any:
    import pyarrow as pa
    import pyarrow.json

    text = pa.string()
    row = pa.struct([(name, text) for name in BATCH_COLUMNS])
    link = pa.struct([("rel", text), ("uri", text)])
    page = pa.schema([("data", pa.list_(row)), ("links", pa.list_(link))])
    return pyarrow.json.ParseOptions(explicit_schema=page, unexpected_field_behavior="error")


def _check_ids(column: "pa.StringArray") -> None:
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    if not 1 <= lengths["min"] <= lengths["max"] <= MOST_ID_LETTERS or not has_id_letters_only(_letters(column)):
        raise ValueError("not usable ids")


def _moments(column: "pa.StringArray") -> "pa.StringArray":
    """Canonical text of timestamps that are written as Clever writes them (clever-api.md 2.1)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(column) - column.null_count
    if not count:
        return column
    letters = _letters(column)
    lengths = pc.min_max(pc.binary_length(column)).as_py()
    is_usual = lengths == {"min": _MOMENT_LENGTH, "max": _MOMENT_LENGTH}
    if not is_usual or any(letters[place::_MOMENT_LENGTH] != mark * count for place, mark in _MOMENT_MARKS):
        raise ValueError("written in another way")
    pc.cast(column, pa.timestamp("ms", "UTC"))  # it raises for what is no instant
    return pc.binary_replace_slice(column, _MOMENT_LENGTH - 1, _MOMENT_LENGTH, "000Z")


def _letters(column: "pa.StringArray") -> bytes:
    """All texts of a column, one after another, as they lie in memory since they were parsed."""
    _, offsets, letters = column.buffers()
    first = memoryview(offsets).cast("i")[column.offset]
    return bytes(memoryview(letters)[first : memoryview(offsets).cast("i")[column.offset + len(column)]])


def _text_or_null(column: "pa.StringArray") -> "pa.StringArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.min(pc.binary_length(column)).as_py() != 0:
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _unknown_values(batch: "pa.RecordBatch") -> dict[str, int]:
    if not distinct(batch, "attendance_type") <= ATTENDANCE_TYPES:
        raise ValueError("a type that is not documented")
    counts = {found["values"]: found["counts"] for found in batch["attendance_status"].value_counts().to_pylist()}
    if "" in counts:
        raise ValueError("a status is empty")
    unknown = sum(count for status, count in counts.items() if status not in ATTENDANCE_STATUSES)
    return {"attendance_status": unknown} if unknown else {}
