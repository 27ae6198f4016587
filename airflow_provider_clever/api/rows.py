"""A page of attendance, from bytes to checked columns.

The hot path of the product: each column is checked at once, mostly by looking its values up among those that were
checked before; only a page with something unusual in it is judged row by row, by the model. Both ways accept the same
rows and give the same columns (docs/explanation/decisions/0002-pages-are-checked-by-column.md).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from operator import itemgetter
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.links import cursor_in, links_of
from airflow_provider_clever.attendance.rows import Columns, RejectedRow
from airflow_provider_clever.attendance.schema import FIELD_NAMES, FIELDS, PULLED_COLUMNS, names
from airflow_provider_clever.attendance.values import (
    canonical_date,
    canonical_json,
    canonical_moment,
    canonical_text,
    text_of_moment,
)
from airflow_provider_clever.models import AttendanceRecord


@dataclass(frozen=True, slots=True)
class AttendancePage:
    """One page of attendance. Its ``repr`` shows counts only.

    :param rows: the usable rows, as Clever sent them.
    :param columns: the same rows in :data:`~airflow_provider_clever.models.PULLED_COLUMNS`, in canonical text.
    :param rejected: the rows that cannot be used.
    :param unknown_values: field -> number of usable rows with a value there that Clever does not document.
    :param surrogates_replaced: number of broken characters that became U+FFFD.
    :param next_link: link to the next page; None on the last.
    :param prev_link: link to the page before; None if Clever gave none, as on the first page.
    """

    rows: list[dict[str, Any]]
    columns: Columns
    rejected: Sequence[RejectedRow]
    unknown_values: Mapping[str, int]
    surrogates_replaced: int
    next_link: str | None
    prev_link: str | None = None

    def __repr__(self) -> str:
        last = ", last" if self.next_link is None else ""
        return f"AttendancePage({len(self.rows)} rows, {len(self.rejected)} rejected{last})"

    @property
    def next_cursor(self) -> str | None:
        """Give what to pass as ``starting_after`` for the next page; None on the last."""
        return None if self.next_link is None else cursor_in(urlsplit(self.next_link).query)

    @property
    def prev_cursor(self) -> str | None:
        """Give what to pass as ``ending_before`` for the page before; None if Clever gave no link to one.

        The page before may turn out to be empty: Clever does not promise that something precedes (clever-api.md 3.3).
        """
        return None if self.prev_link is None else cursor_in(urlsplit(self.prev_link).query, "ending_before")


def decode_page(body: bytes, page: int = 1) -> AttendancePage:
    """Read a page of attendance.

    :param body: the page as Clever sent it.
    :param page: its number in its walk, from 1, for what is said about rejected rows. Default 1.
    :raises CleverProtocolError: it is not JSON, or not a page.
    """
    value, replaced = read_json(body)
    envelope = page_object(value)
    rows: list[Any] = envelope.get("data") or []
    rejected: list[RejectedRow] = []
    try:
        columns = _columns_at_once(rows)
    except (KeyError, ValueError):
        rows, columns, rejected = _columns_row_by_row(rows, page)
    links = links_of(envelope.get("links"))
    return AttendancePage(rows, columns, rejected, _count_unknown(columns), replaced, links.next, links.prev)


# --- whole columns --------------------------------------------------------------------------------------------------


class _Checked:
    """Values that were checked before, with their canonical text. Bounded: it forgets everything when it is full.

    :param canonical: gives the canonical text of a value; raises ValueError if the value cannot be used.
    :param most: number of values kept.
    """

    __slots__ = ("_canonical", "_known", "_most")

    def __init__(self, canonical: Callable[[Any], str | None], most: int = 5_000) -> None:
        self._canonical = canonical
        self._known: dict[Any, str | None] = {}
        self._most = most

    def column(self, values: list[Any]) -> list[str | None]:
        """Give the canonical column.

        :raises ValueError: one of the values cannot be used.
        """
        known = self._known
        with suppress(KeyError, TypeError):
            return [known[value] for value in values]
        try:
            unlike = set(values)
        except TypeError:
            raise ValueError("neither text nor null") from None
        # Two threads may be here, so nothing is read from what the other may clear.
        distinct = {value: known.get(value) or self._canonical(value) for value in unlike}
        if len(known) + len(distinct) > self._most:
            known.clear()
        known.update(distinct)
        return [distinct[value] for value in values]


class _Ids:
    """Ids are checked page by page and not remembered: a district has tens of thousands of them.

    :param may_be_missing: True if null and '' are no fault.
    """

    __slots__ = ("_may_be_missing",)

    def __init__(self, *, may_be_missing: bool = False) -> None:
        self._may_be_missing = may_be_missing

    def column(self, values: list[Any]) -> list[str | None]:
        """Give the canonical column.

        :raises ValueError: one of the values is no usable id.
        """
        try:
            distinct = set(values)
            if self._may_be_missing and not distinct.isdisjoint(_MISSING):
                values = [value or None for value in values]
                distinct -= _MISSING
            letters = "".join(distinct).encode()
        except (TypeError, UnicodeEncodeError):
            raise ValueError("neither text nor null") from None
        lengths = set(map(len, distinct))
        if not has_id_letters_only(letters) or not lengths <= _ID_LENGTHS:
            raise ValueError("not a usable id")
        return values


MOST_ID_LETTERS: Final = 64
_MISSING: Final = frozenset({None, ""})
_ID_LETTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_ID_LENGTHS: Final = frozenset(range(1, MOST_ID_LETTERS + 1))


def has_id_letters_only(letters: bytes) -> bool:
    """Tell whether no letter stands here that an id may not have (models.ID_PATTERN)."""
    return not letters.translate(None, _ID_LETTERS)


_ids = _Ids()
_optional_ids = _Ids(may_be_missing=True)
_texts = _Checked(canonical_text)
_dates = _Checked(canonical_date)
_moments = _Checked(canonical_moment)


_WHEN_REQUIRED: Final[Mapping[str, _Checked | _Ids]] = {"date": _dates, "id": _ids, "text": _texts}
_WHEN_OPTIONAL: Final[Mapping[str, _Checked | _Ids]] = {"id": _optional_ids, "timestamp": _moments}
_REQUIRED: Final = {column.name: _WHEN_REQUIRED[column.kind] for column in FIELDS if column.required}
_FREE_TEXT: Final = names(lambda column: column.kind == "text" and not column.required, columns=FIELDS)
_OPTIONAL: Final = {
    column.name: _WHEN_OPTIONAL[column.kind]
    for column in FIELDS
    if not column.required and column.name not in _FREE_TEXT
}
_DOCUMENTED: Final = frozenset(FIELD_NAMES)
_TEXT_OR_NULL: Final = frozenset({str, type(None)})


def _columns_at_once(rows: list[Any]) -> Columns:
    """Give the columns of a page without a single unusable row.

    :raises ValueError: there is something unusable in it.
    :raises KeyError: a required field is missing.
    """
    if not set(map(type, rows)) <= {dict}:
        raise ValueError("not an object")
    columns: Columns = {name: [] for name in PULLED_COLUMNS}
    for name, checked in _REQUIRED.items():
        columns[name] = checked.column(list(map(itemgetter(name), rows)))
    for name, checked in _OPTIONAL.items():
        columns[name] = checked.column([row.get(name) for row in rows])
    for name in _FREE_TEXT:
        values = [row.get(name) for row in rows]
        if not set(map(type, values)) <= _TEXT_OR_NULL:
            raise ValueError("not text")
        columns[name] = [value or None for value in values]
    has_extra = not set().union(*rows) <= _DOCUMENTED
    columns["_extra"] = [_extra(row) for row in rows] if has_extra else [None] * len(rows)
    return columns


def _extra(row: dict[str, Any]) -> str | None:
    unknown = {name: value for name, value in row.items() if name not in _DOCUMENTED}
    return canonical_json(unknown) if unknown else None


# --- row by row -----------------------------------------------------------------------------------------------------

_REASONS: Final = {
    "missing": "is missing",
    "string_type": "is not text",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not a usable id",
    "clever_date": "is not a date",
    "clever_moment": "is not a timestamp",
}


def _columns_row_by_row(rows: list[Any], page: int) -> tuple[list[dict[str, Any]], Columns, list[RejectedRow]]:
    good: list[dict[str, Any]] = []
    columns: Columns = {name: [] for name in PULLED_COLUMNS}
    rejected = []
    for number, row in enumerate(rows, start=1):
        try:
            record = AttendanceRecord.model_validate(row)
        except ValidationError as error:
            rejected.append(RejectedRow(_reason(error), page, number, canonical_json(row)))
            continue
        good.append(row)
        for name, value in _canonical_row(record, row).items():
            columns[name].append(value)
    return good, columns, rejected


def _canonical_row(record: AttendanceRecord, row: dict[str, Any]) -> dict[str, str | None]:
    values = {name: _canonical_text(getattr(record, name)) for name in FIELD_NAMES}
    return {**values, "_extra": _extra(row)}


def _canonical_text(value: date | datetime | str | None) -> str | None:
    if isinstance(value, datetime):
        return text_of_moment(value)
    return value.isoformat() if isinstance(value, date) else value


def _reason(error: ValidationError) -> str:
    """Say what is wrong with a row in words that quote nothing of it."""
    details = error.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(
        f"{detail['loc'][0]} {_REASONS.get(detail['type'], 'cannot be used')}" if detail["loc"] else "not an object"
        for detail in details
    )


_DOCUMENTED_VALUES: Final = {column.name: column.documented for column in FIELDS if column.documented}


def _count_unknown(columns: Columns) -> dict[str, int]:
    counts = {}
    for name, documented in _DOCUMENTED_VALUES.items():
        unknown = set(columns[name]) - documented
        if unknown:
            counts[name] = sum(value in unknown for value in columns[name])
    return counts
