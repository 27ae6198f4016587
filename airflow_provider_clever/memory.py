"""How a pull takes memory from the system, and gives it back."""

import os
from typing import Final

_KEPT_BYTES: Final = 8 * 2**20
"""Twice as much stays with each of the allocator's arenas, which holds what one page takes."""


def spare_memory() -> None:
    """Let Arrow, if it is not loaded yet, take memory straight from the system.

    mimalloc, its default, keeps some for each of a pull's threads: 60 MB in all. Who has set
    ARROW_DEFAULT_MEMORY_POOL, which Arrow reads once, has chosen already.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def keep_freed_memory() -> None:
    """Let the C library keep what one page has freed for the next one.

    glibc returns what is free beyond twice the largest block that was ever freed (mallopt(3), M_MMAP_THRESHOLD and
    M_TRIM_THRESHOLD), which the blocks of one page exceed: each page would take its memory from the system again. The
    block that is freed here is never touched, so it is memory in name only.
    """
    bytes(_KEPT_BYTES)
