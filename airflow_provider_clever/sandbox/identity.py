"""Ids and random-looking choices that depend on the seed alone, so that two processes build the same world."""

from __future__ import annotations

from hashlib import sha256, shake_128

MISSING_PART = "0" * 24
"""What a cursor carries in place of a part that the row does not have (clever-api.md 3.1)."""


def draw(seed: int, *parts: object, size: int = 12) -> bytes:
    """Give bytes that look random and are the same for the same seed and parts, in every process."""
    text = "|".join([str(seed), *(str(part) for part in parts)])
    return shake_128(text.encode()).digest(size)


def pick(seed: int, *parts: object, below: int) -> int:
    """Give a whole number from 0 up to, not including, ``below``."""
    return int.from_bytes(draw(seed, *parts, size=8), "big") % below


def object_id(seed: int, *parts: object) -> str:
    """Give a Clever id: 24 lowercase hexadecimal digits."""
    return "66" + draw(seed, *parts, size=11).hex()


def digits_id(seed: int, *parts: object) -> str:
    """Give a Clever id that happens to hold digits only, so that careless readers take it for a number."""
    number = int.from_bytes(draw(seed, *parts), "big") % 10**22
    return f"64{number:022d}"


def digest(secret: str) -> str:
    """Give a short fingerprint of a token or an Authorization value, safe to show in a log."""
    return sha256(secret.encode()).hexdigest()[:12]
