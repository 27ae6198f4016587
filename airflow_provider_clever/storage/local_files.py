"""Replaces a file on a POSIX file system whole and durably: a lock, fsync, rename.

The lock is the kernel's (flock), so it ends with the process that held it, however that ended.
"""

# A path object for each call takes as long as the calls themselves.
# ruff: noqa: PTH102, PTH104, PTH112, PTH116, PTH120, PTH123

import errno
import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError

LOCK_WAIT_SECONDS: Final = 60.0

_NOT_OFFERED: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EISDIR}
)
"""Errors that mean that a file system lacks the operation, not that it failed."""


@contextmanager
def lock(path: str, target: str, *, single_writer: bool = False) -> Iterator[None]:
    """Hold a lock file's lock; wait for it as long as another process writes.

    :param path: of the lock file; made if need be.
    :param target: what is to be written, for the error's text.
    :param single_writer: True: continue without a lock, if the file system has none.
    :raises CleverSettingsError: the file system has no locks.
    :raises CleverLandingError: another process holds it.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    descriptor = -1
    try:
        while descriptor < 0:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _wait_for(descriptor, target, deadline)
            except OSError as error:
                if error.errno not in _NOT_OFFERED | {errno.ENOLCK}:
                    raise
                if not single_writer:
                    raise no_locks(target, errno.errorcode.get(error.errno or 0, "")) from None
                break
            if not _still_stands(descriptor, path):  # something has removed the old file: others would lock a new one
                os.close(descriptor)
                descriptor = -1
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def no_locks(target: str, why: str) -> CleverSettingsError:
    """Make the error for a file system without locks."""
    return CleverSettingsError(
        f"{target} lies on a file system whose locks do not work ({why}), so two pulls at once could lose rows: mount "
        "it with locks that all its clients share (NFS: version 4), choose another destination, or pass "
        "single_writer=True if never more than one task writes there"
    )


def replace_file(path: str, temporary: str, data: bytes) -> None:
    """Write bytes under a name, whole and durably, or not at all: they are on disk before the file gets its name."""
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    flush_folder(os.path.dirname(path))


def make_folder(folder: str) -> None:
    """Make a folder, and those above it, durably."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(folder)
    flush_folder(above)


def flush_folder(folder: str) -> bool:
    """Flush the names in a folder to disk; False if the file system cannot do that (FUSE, SMB)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True


def _wait_for(descriptor: int, target: str, deadline: float) -> None:
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


def _still_stands(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
