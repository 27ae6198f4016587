"""Writes files on a POSIX file system conditionally: a lock, a temporary file, fsync, rename.

Locks and temporary files are in a folder of their own at the same destination, so on the same file system and outside
of every data glob. Their number is fixed and they are reused, so that nothing has to be removed after a crash.

A destination may be spelled in many ways (a link, a second mount, ``//``, another case). So its spelling does not
affect a lock: the path below the destination decides which file is locked, and the kernel locks that file itself.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, TypeAlias

from airflow_provider_clever.storage import local_files, local_probe
from airflow_provider_clever.storage.versions import (
    ABSENT,
    PlainStore,
    PreconditionFailedError,
    Version,
    hash_version,
)

LOCKS: Final = 64

_SETTLED_SECONDS: Final = 3.0
"""File systems have coarse clocks: two changes within one tick have the same time. The coarsest, FAT's, takes 2 s."""

LockFolder: TypeAlias = Callable[[str], str]
"""Gives the folder that holds the lock of a path, both relative to the destination."""


class Lock(NamedTuple):
    """The lock of a path, and the temporary file that goes with it.

    :param folder: that holds them.
    :param number: which of the :data:`LOCKS`.
    """

    folder: str
    number: int

    @property
    def path(self) -> str:
        """Of the lock file."""
        return f"{self.folder}/{self.number:02}.lock"

    @property
    def temporary(self) -> str:
        """The file that is written under the lock, and then renamed."""
        return f"{self.folder}/{self.number:02}.tmp"


class LocalStore(PlainStore):
    """A local or network file system. flock must work across all its writers (NFS: version 4).

    :param root: the destination.
    :param lock_folder: where it keeps the lock of a path.
    :param single_writer: True if the user answers for it that no other task writes: then it may do without locks.
    """

    def __init__(self, root: str, lock_folder: LockFolder, *, single_writer: bool = False) -> None:
        self._root = root
        self._lock_folder = lock_folder
        self._single_writer = single_writer

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The file's bytes, and their hash."""
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a path object takes as long as the call
                data = file.read()
        except FileNotFoundError:
            return None
        return data, hash_version(data)

    def write(self, path: str, data: bytes, expected: Version) -> Version:
        """Write and flush a temporary file, then rename it over the old one, all under the path's lock."""
        local_files.make_folder(os.path.dirname(path))  # noqa: PTH120 - as above
        with self.locked(path) as temporary:
            found = self.read(path)
            if (found[1] if found else ABSENT) != expected:
                raise PreconditionFailedError
            local_files.replace_file(path, temporary, data)
        return hash_version(data)

    def delete(self, path: str, expected: Version) -> None:
        """Unlink the file under the path's lock, for good."""
        if not os.path.exists(path):  # noqa: PTH110 - as above
            return
        with self.locked(path):
            found = self.read(path)
            if found is None:
                return
            if found[1] != expected:
                raise PreconditionFailedError
            os.unlink(path)  # noqa: PTH108 - as above
            local_files.flush_folder(os.path.dirname(path))  # noqa: PTH120 - as above

    def delete_temporary_files(self, folder: str) -> int:
        """Remove what killed writers left beside the locks of a folder, and give the number of files.

        :param folder: that of the locks. Each file is removed under its own lock, so no living writer loses one.
        """
        removed = 0
        for number in range(LOCKS):
            lock = Lock(folder, number)
            if os.path.exists(lock.temporary):  # noqa: PTH110 - as above
                with (
                    local_files.lock(lock.path, lock.temporary, single_writer=self._single_writer),
                    suppress(FileNotFoundError),
                ):
                    os.unlink(lock.temporary)  # noqa: PTH108 - as above
                    removed += 1
        if removed:
            local_files.flush_folder(folder)
        return removed

    def delete_empty_folders(self, folder: str) -> None:
        """Remove the empty folders below one, and the folder itself if it is empty."""
        for place, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # it is not empty
                os.rmdir(place)  # noqa: PTH106 - as above

    def folder_marks(self, folder: str) -> dict[str, str | None]:
        """The time at which each folder right below one has changed, as a rename into it changes it; None: just now.

        Empty folders are left out.
        """
        settled = (time.time() - _SETTLED_SECONDS) * 1e9
        try:
            with os.scandir(folder) as found:
                times = {one.name: one.stat().st_mtime_ns for one in found if one.is_dir() and not _is_empty(one.path)}
        except FileNotFoundError:
            return {}
        return {name: str(changed) if changed < settled else None for name, changed in times.items()}

    def probe(self, root: str, folders: Sequence[str]) -> None:
        """Try every operation of a write, before there is anything to write."""
        local_probe.probe(root, folders, single_writer=self._single_writer)

    def lock_of(self, path: str) -> Lock:
        """The lock of a path, the same for every spelling of the destination."""
        below = path[len(self._root) + 1 :]
        number = int.from_bytes(hashlib.sha256(below.encode()).digest()[:2]) % LOCKS
        return Lock(f"{self._root}/{self._lock_folder(below)}", number)

    @contextmanager
    def locked(self, path: str) -> Iterator[str]:
        """Hold the lock of a path, and give the temporary file that goes with it."""
        lock = self.lock_of(path)
        local_files.make_folder(lock.folder)
        with local_files.lock(lock.path, path, single_writer=self._single_writer):
            yield lock.temporary


def _is_empty(folder: str) -> bool:
    with os.scandir(folder) as found:
        return next(found, None) is None
