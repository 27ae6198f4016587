"""What one value of an attendance row may be."""

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

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
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("not an instant of the calendar") from None


# --- what a column holds ---------------------------------------------------------------------------------------------

Kind: TypeAlias = Literal["id", "text", "date", "timestamp", "json"]
"""What a column holds; ``json`` is one object as canonical JSON."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds_of(moment: datetime) -> int:
    """Give an instant as Arrow holds it: microseconds since the beginning of 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def canonical_json(value: object, *, is_landed: bool = False) -> str:
    """Give the one spelling of a JSON value: sorted keys, no blanks, no escapes that are not needed.

    :param is_landed: the value stands in a file already: what is no JSON in it stays as it stands. Default False.
    :raises ValueError: it holds a number that JSON has none for; :func:`without_infinite` gives it without.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=is_landed)


def without_infinite(value: Any) -> Any:
    """Give a JSON value with the text ``Infinity`` or ``-Infinity`` for each number that is too large for any reader.

    ``1e400`` is JSON, but no float: parsers give infinity for it, for which JSON has no number.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else json.dumps(value)
    if isinstance(value, list):
        return [without_infinite(item) for item in value]
    if isinstance(value, dict):
        return {key: without_infinite(item) for key, item in value.items()}
    return value


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
