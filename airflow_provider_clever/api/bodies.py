"""Body bytes to a JSON value, whatever Content-Type says (clever-api.md 5)."""

import json
import zlib
from typing import Any, Final

from pydantic_core import from_json

from airflow_provider_clever.exceptions import CleverProtocolError

MOST_BODY_BYTES: Final = 64 * 2**20
"""Most bytes of an answer, also of one that is compressed."""
_MOST_AT_ONCE_BYTES: Final = 2**22
_MOST_DEPTH: Final = 100
"""How deep an answer may be nested; Clever's are five deep."""


class BrokenBodyError(Exception):
    """What came is not what its head announced."""


class BodyReader:
    """Puts an answer's bytes together and decompresses them, never more than :data:`MOST_BODY_BYTES`.

    HTTP libraries decompress a piece at once, however large it becomes; their newer versions do not, but older ones are
    allowed.

    :param encoding: the answer's ``Content-Encoding``; gzip alone was asked for.
    :raises BrokenBodyError: it is another one.
    """

    def __init__(self, encoding: str) -> None:
        self._names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
        if self._names not in ([], ["identity"], ["gzip"], ["x-gzip"]):
            raise BrokenBodyError
        self._gzip = zlib.decompressobj(wbits=31) if self._names and self._names != ["identity"] else None
        self._parts: list[bytes] = []
        self._size = 0

    def __repr__(self) -> str:
        return f"BodyReader({self._size} bytes)"

    def add(self, piece: bytes) -> None:
        """Take the next bytes of the answer.

        :raises BrokenBodyError: they are not in the form that was announced.
        :raises CleverProtocolError: there are too many.
        """
        while piece:
            plain, piece = (piece, b"") if self._gzip is None else self._unpacked(self._gzip, piece)
            self._size += len(plain)
            self._parts.append(plain)
            if self._size > MOST_BODY_BYTES:
                raise CleverProtocolError(f"Clever's answer is larger than {MOST_BODY_BYTES // 2**20} MB. Report it.")

    def finish(self) -> bytes:
        """Give the whole answer.

        :raises BrokenBodyError: it is cut short.
        """
        if self._gzip is not None and not self._gzip.eof and self._parts:
            raise BrokenBodyError
        return Body(b"".join(self._parts))

    def _unpacked(self, packed: "zlib._Decompress", piece: bytes) -> tuple[bytes, bytes]:
        """What a piece holds, and what is left to unpack of it."""
        if packed.eof:  # gzip may come in several members
            packed = self._gzip = zlib.decompressobj(wbits=31)
        try:
            plain = packed.decompress(piece, _MOST_AT_ONCE_BYTES)
        except zlib.error:
            raise BrokenBodyError from None
        return plain, packed.unused_data if packed.eof else packed.unconsumed_tail


class Body(bytes):
    """The bytes of an answer. Its ``repr`` shows their number only, for tools that keep the variables of a failure."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Body({len(self)} bytes)"


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
        return _without_surrogates(value)
    except (ValueError, RecursionError):
        what = _what_it_is(body)
    raise UnreadableBodyError(f"the answer {what}")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _what_it_is(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "is empty"
    if start.startswith(b"<"):
        return "is an HTML page"
    return "is cut short or damaged" if start.startswith((b"{", b"[")) else "is not JSON"


def _without_surrogates(value: Any, depth: int = 0) -> tuple[Any, int]:
    """Give the value with every lone surrogate replaced, and their number.

    :raises ValueError: it is nested deeper than anything that can be used.
    """
    if depth > _MOST_DEPTH:
        raise ValueError
    if isinstance(value, str):
        clean = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
        return clean, sum(old != new for old, new in zip(value, clean, strict=True))
    if isinstance(value, list):
        pairs = [_without_surrogates(item, depth + 1) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        keys, values = (_without_surrogates(list(part), depth) for part in (value, value.values()))
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
