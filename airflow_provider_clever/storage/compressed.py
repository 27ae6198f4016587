"""Gzip with header bytes that never change, so that the same text gives the same bytes on any machine and any day."""

import gzip
import json
import zlib
from typing import Any, Final

_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no flags (so no name), modification time 0, unknown system (RFC 1952)."""


def gzipped(data: bytes, level: int = 6) -> bytes:
    """Compress data as one gzip member."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(data) + deflater.flush()
    return b"".join(
        (_HEADER, body, zlib.crc32(data).to_bytes(4, "little"), (len(data) & 0xFFFFFFFF).to_bytes(4, "little"))
    )


def gzipped_json(document: object) -> bytes:
    """Write a document as canonical JSON, gzipped."""
    return gzipped(json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def read_gzipped_json(data: bytes) -> Any:
    """Read what :func:`gzipped_json` wrote.

    :raises ValueError: these are not whole gzipped JSON bytes.
    """
    try:
        return json.loads(gzip.decompress(data))
    except (
        OSError,
        EOFError,
        zlib.error,
        RecursionError,
    ) as error:  # gzip raises these for damaged bytes, and json for deep nesting
        msg = f"not whole gzipped JSON ({type(error).__name__})"
        raise ValueError(msg) from None
