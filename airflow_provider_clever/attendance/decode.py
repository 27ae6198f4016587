"""What may land: the one definition, asked of a page's columns at once, and of each row where one of them cannot land.

A column is checked whole, since that costs a tenth of checking its values one by one, and almost every page is without
fault. Where a page is not, each of its rows is a page of one row to the same functions, which then say why it is
rejected (docs/explanation/decisions/0034-one-decoder-and-one-form-of-a-row.md).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.attendance.schema import EXTRA, FIELD_NAMES, FIELDS, Column
from airflow_provider_clever.attendance.values import (
    Kind,
    canonical_json,
    microseconds_of,
    moment_from_text,
)
from airflow_provider_clever.dates import date_from_text

if TYPE_CHECKING:
    import pyarrow as pa

CheckedValues: TypeAlias = Mapping[str, Sequence[Any]]
"""The values of rows that may land, by column: days as ``date``, instants in microseconds since 1970 (UTC), text."""


class Extent(NamedTuple):
    """What the rows of a page are about, and where they begin and end in Clever's order (clever-api.md 3.2).

    :param rows: how many there are.
    :param first: the place of the first row, to be compared; None without rows.
    :param last: that of the last one.
    """

    rows: int
    district_ids: frozenset[str]
    school_ids: frozenset[str]
    days: frozenset[date]
    first: tuple[str, ...] | None
    last: tuple[str, ...] | None

    def __repr__(self) -> str:
        return f"Extent({self.rows} rows)"


PLACE_COLUMNS: Final = ("attendance_date", "student_id", "section_id", "school_id")
_NO_SECTION: Final = "0" * 24
"""How Clever's order writes a row without a section (clever-api.md 3.1)."""


def place_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a row's place in Clever's order, from its values in PLACE_COLUMNS."""
    return (row["attendance_date"].isoformat(), row["student_id"], row["section_id"] or _NO_SECTION, row["school_id"])


class UnusableError(ValueError):
    """A column cannot hold one of these values. The message says why, and quotes none of them."""


class Checked(NamedTuple):
    """A page's rows, checked.

    :param usable: the rows that may land, as Clever sent them.
    :param values: the same rows by column.
    :param rejected: the rows that may not.
    """

    usable: list[dict[str, Any]]
    values: CheckedValues
    rejected: list[RejectedRow]

    def __repr__(self) -> str:
        return f"Checked({len(self.usable)} rows, {len(self.rejected)} rejected)"


# --- a page -----------------------------------------------------------------------------------------------------------


def check(rows: Sequence[Any], page: int = 1) -> Checked:
    """The rows of any page of JSON: those that may land, and those that may not, with the reasons.

    :param rows: what its list holds.
    :param page: the page's number in its walk, from 1, for what is said of rejected rows. Default 1.
    """
    try:
        return Checked(list(rows), _check_at_once(rows), [])
    except UnusableError:
        faulty = _faulty_columns([row for row in rows if isinstance(row, dict)])
        reasons = [_reasons(row, faulty) for row in rows]
    usable = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    rejected = [
        RejectedRow(reason, page, number, canonical_json(row))
        for number, (row, reason) in enumerate(zip(rows, reasons, strict=True), start=1)
        if reason
    ]
    return Checked(usable, _check_at_once(usable), rejected)


def _check_at_once(rows: Sequence[Any]) -> CheckedValues:
    if not set(map(type, rows)) <= {dict}:
        raise UnusableError("not an object")
    values = {column.name: read_values(column, [row.get(column.name) for row in rows]) for column in FIELDS}
    has_extra = not set().union(*rows) <= _DOCUMENTED
    return {**values, EXTRA.name: [_extra(row) for row in rows] if has_extra else [None] * len(rows)}


def _extra(row: dict[str, Any]) -> str | None:
    unknown = {name: value for name, value in row.items() if name not in _DOCUMENTED}
    return canonical_json(unknown) if unknown else None


def _faulty_columns(rows: Sequence[dict[str, Any]]) -> list[Column]:
    """The columns that cannot hold the values of all these rows."""
    found = []
    for column in FIELDS:
        try:
            read_values(column, [row.get(column.name) for row in rows])
        except UnusableError:
            found.append(column)
    return found


def _reasons(row: object, faulty: Sequence[Column]) -> str:
    """Why a row may not land, in words that quote nothing of it; empty: it may."""
    if not isinstance(row, dict):
        return "not an object"
    found = []
    for column in faulty:
        if column.required and column.name not in row:
            found.append(f"{column.name} is missing")
            continue
        try:
            read_values(column, [row.get(column.name)])
        except UnusableError as error:
            found.append(f"{column.name} {error}")
    return "; ".join(found)


_DOCUMENTED: Final = frozenset(FIELD_NAMES)


def extent_of(values: CheckedValues) -> Extent:
    """Give what rows are about."""
    count = len(values["student_id"])
    ends = [{name: values[name][place] for name in PLACE_COLUMNS} for place in (0, -1)] if count else []
    return Extent(
        count,
        frozenset(values["district_id"]),
        frozenset(values["school_id"]),
        frozenset(values["attendance_date"]),
        *(map(place_of, ends) if ends else (None, None)),
    )


def count_unknown(values: CheckedValues) -> dict[str, int]:
    """Field -> number of rows with a value there that Clever does not document."""
    counts = {}
    for column in (column for column in FIELDS if column.documented):
        unknown = set(values[column.name]) - column.documented
        if unknown:
            counts[column.name] = sum(value in unknown for value in values[column.name])
    return counts


def record_batch(values: CheckedValues) -> "pa.RecordBatch":
    """The rows as everything behind the decoder carries them."""
    import pyarrow as pa

    from airflow_provider_clever.attendance.batches import pulled_schema

    schema = pulled_schema()
    return pa.record_batch([pa.array(values[field.name], field.type) for field in schema], schema=schema)


# --- a column ---------------------------------------------------------------------------------------------------------


def read_values(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """The values of a column, typed. Null and '' are the same where a value may be missing.

    :raises UnusableError: the column cannot hold one of them.
    """
    return _READERS[column.kind, column.required](values)


_NOTHING: Final = frozenset({None, ""})
MOST_ID_LENGTH: Final = 64
_ID_CHARACTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_ID_LENGTHS: Final = frozenset(range(1, MOST_ID_LENGTH + 1))
_TEXT_OR_NULL: Final = frozenset({str, type(None)})


def has_id_characters_only(data: bytes) -> bool:
    """Tell whether nothing stands here that an id may not hold (values.ID_PATTERN)."""
    return not data.translate(None, _ID_CHARACTERS)


def _ids(values: Sequence[Any]) -> Sequence[str]:
    """Ids are not remembered: a district has tens of thousands of them."""
    try:
        distinct = set(values)
        data = "".join(distinct).encode()
    except TypeError:
        raise UnusableError("is not text") from None
    if not has_id_characters_only(data) or not set(map(len, distinct)) <= _ID_LENGTHS:
        raise UnusableError("is not a usable id")
    return values


def _optional_ids(values: Sequence[Any]) -> Sequence[str | None]:
    found = _optional_texts(values)
    _ids([value for value in found if value is not None])
    return found


def _optional_texts(values: Sequence[Any]) -> Sequence[str | None]:
    if not set(map(type, values)) <= _TEXT_OR_NULL:
        raise UnusableError("is not text")
    return [value or None for value in values]


_MOST_REMEMBERED: Final = 5_000
"""How many values of a column are remembered."""


class _Remembered:
    """Reads values that come again and again, each once. Bounded: it forgets everything when it is full.

    :param read: gives the value; raises ValueError if it cannot be used.
    """

    __slots__ = ("_known", "_read")

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read
        self._known: dict[Any, Any] = {}

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        known = self._known
        try:
            return [known[value] for value in values]
        except (KeyError, TypeError):
            pass
        try:
            distinct = dict.fromkeys(values)
        except TypeError:  # a list or an object is among them, and read will say that it cannot be used
            return [self._read(value) for value in values]
        for value in distinct:
            found = known.get(value)  # once: another thread may be clearing them
            distinct[value] = self._read(value) if found is None else found
        if len(known) + len(distinct) > _MOST_REMEMBERED:
            known.clear()
        known.update(distinct)
        return [distinct[value] for value in values]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnusableError("is not text")
    if not value:
        raise UnusableError("is empty")
    return value


def _date(value: object) -> date:
    try:
        return date_from_text(value)
    except ValueError:
        raise UnusableError("is not a date") from None


def _timestamp(value: object) -> int:
    try:
        return microseconds_of(moment_from_text(value))
    except ValueError:
        raise UnusableError("is not a timestamp") from None


def _optional_timestamp(value: object) -> int | None:
    return None if value is None or value == "" else _timestamp(value)


_READERS: Final[Mapping[tuple[Kind, bool], Callable[[Sequence[Any]], Sequence[Any]]]] = {
    ("id", True): _ids,
    ("id", False): _optional_ids,
    ("text", True): _Remembered(_text),
    ("text", False): _optional_texts,
    ("date", True): _Remembered(_date),
    ("timestamp", False): _Remembered(_optional_timestamp),
}
"""Per kind of a column, and whether it is required: gives its values, or raises what is wrong with one of them."""
