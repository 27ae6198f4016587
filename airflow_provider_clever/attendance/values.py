"""What one value may be, by the kind of its column, and the one text that it is carried and compared as."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from airflow_provider_clever.dates import date_from_text

ID_PATTERN: Final = r"^[0-9A-Za-z_-]{1,64}$"
"""What may enter a URL or a path as an id. Clever's own are 24 hex digits (clever-api.md 2.1).

For a check use :func:`is_clever_id`: ``re.match`` with this pattern would let a final line break through.
"""

_ID: Final = re.compile(ID_PATTERN)
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_CLEVER_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def is_clever_id(text: object) -> bool:
    """Tell whether this may enter a URL or a path as an id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def moment_from_text(text: object) -> datetime:
    """Give the instant, in UTC, that a timestamp of Clever's names; without an offset it is UTC (clever-api.md 2.1).

    :raises ValueError: it is not a timestamp, or no such instant. The message does not quote it.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("not a timestamp")
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("not an instant of the calendar") from None


# --- canonical text -------------------------------------------------------------------------------------------------

Kind: TypeAlias = Literal["id", "text", "date", "timestamp", "json"]
"""What a column holds; ``json`` is one object as canonical JSON."""


def canonical_json(value: object) -> str:
    """Give the one spelling of a JSON value: sorted keys, no blanks, no escapes that are not needed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text_of_moment(moment: datetime | None) -> str | None:
    """Give an instant in UTC as canonical text, ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return None if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical_text(value: object) -> str:
    """Give a text itself.

    :raises ValueError: it is none, or empty.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("not text")
    return value


def canonical_date(value: object) -> str:
    """Give a day, ``YYYY-MM-DD``.

    :raises ValueError: it is none.
    """
    return date_from_text(value).isoformat()


def canonical_moment(value: object) -> str | None:
    """Give an instant as canonical text; None for null and ''.

    :raises ValueError: it is none.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and _CLEVER_MOMENT.fullmatch(value):
        datetime.fromisoformat(value)
        return f"{value[:-1]}000Z"
    return text_of_moment(moment_from_text(value))


def _canonical_id(value: object) -> str:
    if not is_clever_id(value):
        raise ValueError("not a usable id")
    return str(value)


_CANONICAL: Final[dict[Kind, Callable[[object], str | None]]] = {
    "id": _canonical_id,
    "text": canonical_text,
    "date": canonical_date,
    "timestamp": canonical_moment,
}


def canonical(kind: Kind, value: object) -> str | None:
    """Give the canonical text of a value that may be missing; None for null and ''.

    :raises ValueError: a column of this kind cannot hold it.
    """
    return None if value is None or value == "" else _CANONICAL[kind](value)


# --- as pydantic reads them -----------------------------------------------------------------------------------------


def text_or_none(value: object) -> object:
    """Give None for '', and everything else as it is."""
    return None if value == "" else value


def _date(value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date_from_text(value)
    except ValueError as error:
        raise PydanticCustomError("clever_date", "{reason}", {"reason": str(error)}) from None


def _moment_or_none(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    try:
        return moment_from_text(value)
    except ValueError as error:
        raise PydanticCustomError("clever_moment", "{reason}", {"reason": str(error)}) from None


# pydantic's own reading of dates would take the integer 1767571200 for one.
CleverDate: TypeAlias = Annotated[date, BeforeValidator(_date)]
CleverMoment: TypeAlias = Annotated[datetime | None, BeforeValidator(_moment_or_none)]
CleverId: TypeAlias = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
OptionalId: TypeAlias = Annotated[CleverId | None, BeforeValidator(text_or_none)]
OptionalText: TypeAlias = Annotated[str | None, BeforeValidator(text_or_none)]
