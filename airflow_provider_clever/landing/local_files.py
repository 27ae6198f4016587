"""Files on a POSIX file system: a lock, a temporary file beside the data, fsync, rename.

The lock is the kernel's (flock), so it ends with the process that held it, however that ended. Locks and temporary
files live in ``_clever/district=…/local/`` at the same destination, so on the same file system and outside every data
glob; there are a fixed number of them, reused, and so nothing has to be cleared away after a crash.
"""

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
            data = Path(path).read_bytes()
        except FileNotFoundError:
            return None
        return data, hash_version(data)

    def write(self, path: str, data: bytes, expected: Version) -> None:
        """Write and flush a temporary file, then rename it over the old one, all under the path's lock."""
        target = Path(path)
        _make_folder(target.parent)
        with _locked(target) as temporary:
            found = self.read(path)
            if (found[1] if found else ABSENT) != expected:
                raise StaleVersionError
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(target)
            _flush_folder(target.parent)


@contextmanager
def _locked(target: Path) -> Iterator[Path]:
    """Hold the lock of a path, and give the temporary file that goes with it."""
    folder = _scratch_folder(target)
    _make_folder(folder)
    number = int.from_bytes(hashlib.sha256(str(target).encode()).digest()[:2]) % LOCKS
    with (folder / f"{number:02}.lock").open("ab") as lock:
        _wait_for(lock.fileno(), target)
        yield folder / f"{number:02}.tmp"


def _wait_for(descriptor: int, target: Path) -> None:
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


def _scratch_folder(target: Path) -> Path:
    district = next(part for part in reversed(target.parts) if part.startswith("district="))
    above = target.parts[: target.parts.index(district) - 1]
    return Path(*above, "_clever", district, "local")


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
