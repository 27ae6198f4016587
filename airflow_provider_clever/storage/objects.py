"""Objects on any store that fsspec knows: read with a version, written only if that version still stands.

Listings and metadata are never taken from a cache, and every failure comes out as a CleverLandingError that names the
path and the next step.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.storage.errors import described, is_permanent
from airflow_provider_clever.storage.history import History, history_of
from airflow_provider_clever.storage.local_store import LocalStore, LockFolder
from airflow_provider_clever.storage.stores import store_for
from airflow_provider_clever.storage.versions import ABSENT, ObjectStore, PreconditionFailedError, Version

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TRIES: Final = 4
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 8.0


class Content(bytes):
    """The bytes of an object. Its ``repr`` shows their number only, for tools that keep the variables of a failure."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Content({len(self)} bytes)"


class Objects:
    """The objects below one root, with retries and errors in words.

    :param fs: any fsspec file system.
    :param root: the destination's path on it.
    :param lock_folder: where local files keep the lock of a path; both relative to the root.
    :param single_writer: True if the user answers for it that no other task writes here: then a store without
        conditional writes is accepted. Default False.
    """

    def __init__(
        self, fs: "AbstractFileSystem", root: str, *, lock_folder: LockFolder, single_writer: bool = False
    ) -> None:
        self.fs = fs
        self.root = str(fs._strip_protocol(root)).rstrip("/")
        self.single_writer = single_writer
        self._lock_folder = lock_folder
        self._store: ObjectStore | None = None
        self._is_there = False

    @property
    def store(self) -> ObjectStore:
        """The kind of store this is.

        :raises CleverSettingsError: if it cannot write on condition, and more than one writer may come.
        """
        if self._store is None:
            self._store = store_for(self.fs, self.root, self._lock_folder, single_writer=self.single_writer)
        return self._store

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The bytes and version of an object, None if there is none.

        :param path: relative to the root.
        :raises CleverLandingError: if the store does not answer as it should, after a few tries.
        """
        found = self._tried("read", path, lambda: self.store.read(self._full(path)))
        return found and (Content(found[0]), found[1])

    def write(self, path: str, data: bytes, expected: Version) -> Version | None:
        """Write an object whole if ``expected`` is still its version.

        :returns: its new version; None if the store does not say.
        :raises PreconditionFailedError: if it is not.
        :raises CleverLandingError: as :meth:`read`.
        """
        return self._tried("write", path, lambda: self.store.write(self._full(path), data, expected))

    def versions(self, prefix: str) -> dict[str, Version] | None:
        """The objects whose path begins with a prefix, with the version that each has now.

        :param prefix: relative to the root; it may end within a name.
        :returns: None if the store's listings say no versions.
        :raises CleverLandingError: as :meth:`read`.
        """
        found = self._tried("list", prefix, lambda: self.store.versions(self._full(prefix)))
        return None if found is None else {path[len(self.root) + 1 :]: version for path, version in found}

    def delete(self, path: str, expected: Version) -> None:
        """Remove an object, if ``expected`` is still its version; one that is gone already is removed.

        :raises PreconditionFailedError: another version stands there now.
        :raises CleverLandingError: as :meth:`read`.
        """
        self._tried("remove", path, lambda: self.store.delete(self._full(path), expected))

    def delete_temporary_files(self, folder: str) -> int:
        """Remove what killed writers left beside the locks in a folder, and give the number of files.

        :param folder: relative to the root. Only file systems have such files.
        """
        store = self.store
        if not isinstance(store, LocalStore):
            return 0
        return self._tried("remove", folder, lambda: store.delete_temporary_files(self._full(folder)))

    def delete_empty_folders(self, folder: str) -> None:
        """Remove the folders below one in which nothing is left. Only file systems have folders.

        :param folder: relative to the root.
        """
        if isinstance(self.store, LocalStore):
            self.store.delete_empty_folders(self._full(folder))

    def local_path(self, path: str) -> str | None:
        """Where an object lies on a file system of this machine, for libraries that read files; None: elsewhere.

        :param path: relative to the root.
        """
        return self._full(path) if isinstance(self.store, LocalStore) else None

    def folder_marks(self, folder: str) -> dict[str, str | None] | None:
        """What tells of each folder right below one whether anything in it has come, gone or been replaced.

        :param folder: relative to the root.
        :returns: by the folder's name, without empty ones; None: it changed so recently that another change might leave
            no trace. None for all where there are no folders; only file systems have some.
        """
        store = self.store
        if not isinstance(store, LocalStore):
            return None
        return self._tried("list", folder, lambda: store.folder_marks(self._full(folder)))

    def probe(self, *folders: str) -> None:
        """Try what writing relies on, as far as the kind of store leaves anything open.

        :param folders: what is to be written to, relative to the root; what is tried is tried in the first.
        :raises CleverSettingsError: something is missing; the message says what.
        :raises CleverLandingError: as :meth:`read`.
        """
        self._tried("use", "", lambda: self.store.probe(self.root, folders))

    def update(self, path: str, next_data: Callable[[bytes | None], bytes | None]) -> None:
        """Read an object, and write what ``next_data`` makes of it; again, if another writer came in between.

        :param next_data: from the bytes that stand there (None: no object) to those that shall; None: leave it.
        """
        tried: list[bytes] = []
        for wait_seconds in swap_waits():
            found = self.read(path)
            if found and found[0] in tried:
                return  # our own write had arrived; only the store's answer to it got lost
            data = next_data(found and found[0])
            if data is None:
                return
            tried.append(data)
            try:
                self.write(path, data, found[1] if found else ABSENT)
            except PreconditionFailedError:
                time.sleep(wait_seconds)
            else:
                return
        raise too_contended(path)

    def names(self, path: str) -> list[str]:
        """The full paths right below a folder, sorted, straight from the store; none if there is no such folder.

        :raises CleverLandingError: as :meth:`read`; and if there is no such bucket or container.
        """

        def listed() -> list[str]:
            self.fs.invalidate_cache()
            try:
                found = self.fs.ls(self._full(path), detail=False, refresh=True)
            except FileNotFoundError:
                return []
            finally:
                self.fs.invalidate_cache()
            own = self._full(path)
            return sorted({name.rstrip("/") for name in map(self._canonical, found)} - {own})

        return self._below_root(path, listed)

    def names_below(self, path: str) -> list[str]:
        """The paths of all objects below a folder, at any depth, sorted, straight from the store.

        :raises CleverLandingError: as :meth:`names`.
        """

        def listed() -> list[str]:
            self.fs.invalidate_cache()
            try:
                return sorted(map(self._canonical, self.fs.find(self._full(path))))
            except FileNotFoundError:
                return []
            finally:
                self.fs.invalidate_cache()

        own = self._full(path)
        return self._below_root(path, lambda: [name for name in listed() if name != own])

    def _below_root(self, path: str, listed: Callable[[], list[str]]) -> list[str]:
        found = self._tried("list", path, listed)
        if not (found or self._is_there):
            # fsspec lists nothing where there is no such bucket; the stores' own requests say so.
            with suppress(CleverSettingsError):  # a store that we can only read: nothing is known but its listing
                self.versions(f"{path}/" if path else "")
        self._is_there = True
        return [name[len(self.root) + 1 :] for name in found]

    @property
    def history(self) -> History:
        """What the store keeps of objects that were replaced or removed."""
        return history_of(self.fs)

    def _canonical(self, name: str) -> str:
        return str(self.fs._strip_protocol(name))

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _tried(self, action: str, path: str, act: Callable[[], Result]) -> Result:
        for attempt in range(1, TRIES + 1):
            try:
                return act()
            except (PreconditionFailedError, CleverLandingError, CleverSettingsError):
                raise
            except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds, few of them OSError
                if attempt == TRIES or is_permanent(error):
                    raise CleverLandingError(described(action, self._full(path), error)) from None
                log.info("Could not %s %s (%s); trying again", action, path, type(error).__name__)
                time.sleep(wait_seconds(attempt))
        raise AssertionError  # the last attempt returns or raises


def wait_seconds(attempt: int) -> float:
    """How long to wait after this attempt, from 1: full jitter under a doubling cap."""
    return random.uniform(0, min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt))  # noqa: S311 - no secret


_SWAP_ATTEMPTS: Final = 30


def swap_waits() -> Iterator[float]:
    """How long to wait after each lost race: short, and scattered so that two writers part."""
    return (random.uniform(0, min(2.0, 0.02 * 2**attempt)) for attempt in range(_SWAP_ATTEMPTS))  # noqa: S311 - no secret


def too_contended(path: str) -> CleverLandingError:
    """The error for an object that others kept changing."""
    return CleverLandingError(
        f"{path} was changed by other writers every time we tried to write it; run again when fewer pulls of the same "
        "days run at once"
    )
