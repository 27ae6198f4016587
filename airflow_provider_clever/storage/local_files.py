"""Files on a POSIX file system: a lock, a temporary file beside the data, fsync, rename.

The lock is the kernel's (flock), so it ends with the process that held it, however that ended. Locks and temporary
files live in ``_clever/district=…/local/`` at the same destination, so on the same file system and outside every data
glob; there are a fixed number of them, reused, and so nothing has to be cleared away after a crash.

A destination may be spelled in many ways (a link, a second mount, ``//``, another case). So nothing of its spelling
enters a lock: which file is locked follows from the path below the destination, and the kernel locks that file itself.
"""

# A path object for each call takes as long as the calls themselves.
# ruff: noqa: PTH102, PTH104, PTH112, PTH116, PTH120, PTH123

import errno
import fcntl
import hashlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.storage.objects import ABSENT, StaleVersionError, Version, hash_version

LOCKS: Final = 64
LOCK_WAIT_SECONDS: Final = 60.0

_NOT_OFFERED: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EISDIR}
)
"""How file systems say that they know no such thing, as opposed to: it went wrong."""


class LocalStore:
    """A local or network file system. flock must work across all its writers (NFS: version 4).

    :param single_writer: True if the user answers for it that nobody else writes: then it may do without locks.
    """

    def __init__(self, *, single_writer: bool = False) -> None:
        self._single_writer = single_writer

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
        make_folder(folder)
        with _locked(path, single_writer=self._single_writer) as temporary:
            found = self.read(path)
            if (found[1] if found else ABSENT) != expected:
                raise StaleVersionError
            replace_file(path, temporary, data)

    def rehearse(self, root: str, folders: Sequence[str]) -> None:
        """Try all that a write relies on, before there is anything to write."""
        from airflow_provider_clever.storage import local_rehearsal

        local_rehearsal.rehearse(root, folders, single_writer=self._single_writer)


class Place(NamedTuple):
    """Where a path's lock and temporary file are; the same for every spelling of the destination.

    :param folder: the district's folder for them.
    :param number: which of the :data:`LOCKS`.
    """

    folder: str
    number: int

    @classmethod
    def of(cls, target: str) -> "Place":
        """The place of a path ``<destination>/<what>/district=<id>/…``; that may lie in such a folder, too."""
        parts = target.split("/")
        at = max(index for index, part in enumerate(parts) if part.startswith("district="))
        above, below = parts[: at - 1], parts[at - 1 :]
        number = int.from_bytes(hashlib.sha256("/".join(below).encode()).digest()[:2]) % LOCKS
        return cls("/".join((*above, "_clever", parts[at], "local")), number)


@contextmanager
def _locked(target: str, *, single_writer: bool = False) -> Iterator[str]:
    """Hold the lock of a path, and give the temporary file that goes with it."""
    folder, number = Place.of(target)
    make_folder(folder)
    with lock(f"{folder}/{number:02}.lock", target, single_writer=single_writer):
        yield f"{folder}/{number:02}.tmp"


@contextmanager
def lock(path: str, target: str, *, single_writer: bool = False) -> Iterator[None]:
    """Hold a lock file's lock; wait for it as long as another process writes.

    :param path: of the lock file; made if need be.
    :param target: what is to be written, for the error's text.
    :param single_writer: True: go on without, where the file system has no locks.
    :raises CleverSettingsError: the file system has no locks.
    :raises CleverLandingError: another process keeps it.
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
            if not _still_stands(descriptor, path):  # a cleaner of old files took it away: others would lock a new one
                os.close(descriptor)
                descriptor = -1
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def no_locks(target: str, why: str) -> CleverSettingsError:
    """The error for a file system on which two writers cannot keep out of each other's way."""
    return CleverSettingsError(
        f"{target} lies on a file system whose locks do not work ({why}), so two pulls at once could lose rows: mount "
        "it with locks that all its clients share (NFS: version 4), choose another destination, or pass "
        "single_writer=True if never more than one task writes there"
    )


def replace_file(path: str, temporary: str, data: bytes) -> None:
    """Put bytes under a name, whole and for good, or not at all: they are on the disk before they have the name."""
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    flush_folder(os.path.dirname(path))


def make_folder(folder: str) -> None:
    """Make a folder, and those above it, for good."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(folder)
    flush_folder(above)


def flush_folder(folder: str) -> bool:
    """Put the names in a folder on the disk; False where the file system has no such thing (FUSE, SMB)."""
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
