"""Files on a POSIX file system: a lock, a temporary file beside the data, fsync, rename.

The lock is the kernel's (flock), so it ends with the process that held it, however that ended. Locks and temporary
files live in ``_clever/district=…/local/`` at the same destination, so on the same file system and outside every data
glob; there are a fixed number of them, reused, and so nothing has to be cleared away after a crash.
"""

# A path object for each call takes as long as the calls themselves.
# ruff: noqa: PTH102, PTH104, PTH112, PTH120, PTH123

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.landing.objects import ABSENT, StaleVersionError, Version, hash_version

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LOCKS: Final = 64
LOCK_WAIT_SECONDS: Final = 60.0


class LocalStore:
    """A local or network file system. flock must work across all its writers (NFS: version 4)."""

    def __init__(self, fs: "AbstractFileSystem") -> None:
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The file's bytes, and their hash."""
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            return None
        return data, hash_version(data)

    def write(self, path: str, data: bytes, expected: Version) -> None:
        """Write and flush a temporary file, then rename it over the old one, all under the path's lock."""
        folder = os.path.dirname(path)
        _make_folder(folder)
        with _locked(path) as temporary:
            found = self.read(path)
            if (found[1] if found else ABSENT) != expected:
                raise StaleVersionError
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
            _flush_folder(folder)


@contextmanager
def _locked(target: str) -> Iterator[str]:
    """Hold the lock of a path, and give the temporary file that goes with it."""
    folder = _scratch_folder(target)
    _make_folder(folder)
    number = int.from_bytes(hashlib.sha256(target.encode()).digest()[:2]) % LOCKS
    descriptor = os.open(f"{folder}/{number:02}.lock", os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        _wait_for(descriptor, target)
        yield f"{folder}/{number:02}.tmp"
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, target: str) -> None:
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                msg = (
                    f"could not write {target}: another process has held its lock for {LOCK_WAIT_SECONDS:.0f} s; "
                    "find it (it may be suspended) and end it, then run again"
                )
                raise CleverLandingError(msg) from None
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - no secret


def _scratch_folder(target: str) -> str:
    parts = target.split("/")
    district = next(part for part in reversed(parts) if part.startswith("district="))
    above = parts[: parts.index(district) - 1]
    return "/".join((*above, "_clever", district, "local"))


def _make_folder(folder: str) -> None:
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    _make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(folder)
    _flush_folder(above)


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
