"""From the bytes of an answer to a JSON value, whatever its Content-Type says (clever-api.md 5)."""

import json
import re
import zlib
from typing import Any, Final

from pydantic_core import from_json

from airflow_provider_clever.attendance.values import without_infinite
from airflow_provider_clever.exceptions import CleverProtocolError

MOST_BODY_BYTES: Final = 64 * 2**20
"""Largest answer that is read, in bytes after decompression."""
_DECOMPRESSED_PIECE_BYTES: Final = 2**22
_DEEPEST_NESTING: Final = 100
"""Levels that an answer may be nested; Clever's have five."""


class BrokenBodyError(Exception):
    """The body does not match its headers: another encoding, or it ended early."""


class BodyReader:
    """Collects and decompresses the bytes of an answer, up to :data:`MOST_BODY_BYTES`.

    The oldest HTTP libraries that we allow decompress a piece in one go, however large it becomes.

    :param encoding: the answer's ``Content-Encoding``. We only ask for gzip.
    :raises BrokenBodyError: it is another encoding.
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
        """Add the next bytes of the answer.

        :raises BrokenBodyError: they are not gzip.
        :raises CleverProtocolError: the answer is too large.
        """
        while piece:
            plain, piece = (piece, b"") if self._gzip is None else self._decompressed(self._gzip, piece)
            self._size += len(plain)
            self._parts.append(plain)
            if self._size > MOST_BODY_BYTES:
                raise CleverProtocolError(f"Clever's answer is larger than {MOST_BODY_BYTES // 2**20} MB. Report it.")

    def finish(self) -> bytes:
        """Give the complete answer.

        :raises BrokenBodyError: it ended early.
        """
        if self._gzip is not None and not self._gzip.eof and self._parts:
            raise BrokenBodyError
        return Body(b"".join(self._parts))

    def _decompressed(self, decoder: "zlib._Decompress", piece: bytes) -> tuple[bytes, bytes]:
        """Decompress some of a piece. Give the result, and what is left of the piece."""
        if decoder.eof:  # gzip may come in several members
            decoder = self._gzip = zlib.decompressobj(wbits=31)
        try:
            plain = decoder.decompress(piece, _DECOMPRESSED_PIECE_BYTES)
        except zlib.error:
            raise BrokenBodyError from None
        return plain, decoder.unused_data if decoder.eof else decoder.unconsumed_tail


class Body(bytes):
    """The bytes of an answer. Its ``repr`` shows only their number, because error trackers record local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Body({len(self)} bytes)"


_MAY_BE_INFINITE: Final = re.compile(rb"[0-9.][eE]\+?[0-9]{2,}\s*[,\]}]|[0-9]{300}")
"""What a number looks like that no float can hold; only where one does, all values are looked through."""


class UnreadableBodyError(CleverProtocolError):
    """The answer is not JSON. It may have been cut short, so asking again can help."""


def read_json(body: bytes) -> tuple[Any, int]:
    """Parse a body. Give its value, and how many broken characters were replaced by U+FFFD.

    A number too large for a float is given as text, ``Infinity`` or ``-Infinity``.

    :raises UnreadableBodyError: it is not JSON. The message quotes none of it.
    """
    try:
        value, replaced = from_json(body, allow_inf_nan=False), 0
    except ValueError:
        value, replaced = _read_broken_text(body)
    return (without_infinite(value) if _MAY_BE_INFINITE.search(body) else value), replaced


def _read_broken_text(body: bytes) -> tuple[Any, int]:
    """Parse what the strict parser refuses: lone surrogate escapes, invalid UTF-8, a byte order mark."""
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
    """Replace every lone surrogate in a value. Give the new value, and how many there were.

    :raises ValueError: it is nested more than 100 levels deep.
    """
    if depth > _DEEPEST_NESTING:
        raise ValueError
    if isinstance(value, str):
        clean = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in value)
        return clean, sum(old != new for old, new in zip(value, clean, strict=True))
    if isinstance(value, list):
        pairs = [_without_surrogates(item, depth + 1) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        keys, values = (_without_surrogates(list(part), depth) for part in (value, value.values()))
        return dict(zip(keys[0], values[0], strict=True)), keys[1] + values[1]
    return value, 0


def page_object(value: object) -> dict[str, Any]:
    """Give a page's outer object, whose ``data`` is a list, null or missing (clever-api.md 2.1, O18).

    :raises CleverProtocolError: it has another shape. Such an answer never counts as an empty page.
    """
    if not isinstance(value, dict) or not ("data" in value or "links" in value):
        raise CleverProtocolError("Clever's answer is JSON but no page: it has neither data nor links. Report it.")
    for name in ("data", "links"):
        if not isinstance(value.get(name), list | None):
            raise CleverProtocolError(f"Clever's answer is JSON but no page: its {name} is not a list. Report it.")
    return value
