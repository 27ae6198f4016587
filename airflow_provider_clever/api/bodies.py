"""Body bytes to a JSON value, whatever Content-Type says (clever-api.md 5)."""

import json
from typing import Any

from pydantic_core import from_json

from airflow_provider_clever.exceptions import CleverProtocolError


class UnreadableBodyError(CleverProtocolError):
    """Report it: the answer is not JSON. It may have been cut short, so asking again can help."""


def read_json(body: bytes) -> tuple[Any, int]:
    """Give the value that a body holds, and how many letters of it were broken and are U+FFFD now.

    :raises UnreadableBodyError: it is not JSON. The message quotes nothing of it.
    """
    try:
        return from_json(body, allow_inf_nan=False), 0
    except ValueError:
        return _read_broken_text(body)


def _read_broken_text(body: bytes) -> tuple[Any, int]:
    """Read what the strict parser refuses: lone surrogate escapes, bytes that are not UTF-8, a byte order mark."""
    try:
        value = json.loads(
            body.decode("utf-8", "surrogateescape").removeprefix("\ufeff"), parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise UnreadableBodyError(f"the answer {_what_it_is(body)}") from None
    return _without_surrogates(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "is empty"
    if start.startswith(b"<"):
        return "is an HTML page"
    return "is cut short or damaged" if start.startswith((b"{", b"[")) else "is not JSON"


def _without_surrogates(value: Any) -> tuple[Any, int]:
    """Give the value with every lone surrogate replaced, and their number."""
    if isinstance(value, str):
        clean = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
        return clean, sum(old != new for old, new in zip(value, clean, strict=True))
    if isinstance(value, list):
        pairs = [_without_surrogates(item) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        keys, values = _without_surrogates(list(value)), _without_surrogates(list(value.values()))
        return dict(zip(keys[0], values[0], strict=True)), keys[1] + values[1]
    return value, 0


def page_object(value: object) -> dict[str, Any]:
    """Give the envelope of a list answer: an object whose ``data`` is a list, null or missing (clever-api.md 2.1, O18).

    :raises CleverProtocolError: it is anything else. An answer of another shape is never taken for an empty page.
    """
    if not isinstance(value, dict) or not ("data" in value or "links" in value):
        raise CleverProtocolError("Clever's answer is JSON but no page: it has neither data nor links. Report it.")
    for name in ("data", "links"):
        if not isinstance(value.get(name), list | None):
            raise CleverProtocolError(f"Clever's answer is JSON but no page: its {name} is not a list. Report it.")
    return value
