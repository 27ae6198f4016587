"""Chooses the kind of store for a file system."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage.cloud_stores import AzureStore, GcsStore, S3Store
from airflow_provider_clever.storage.local_store import LocalStore, LockFolder
from airflow_provider_clever.storage.versions import (
    ABSENT,
    ObjectStore,
    PlainStore,
    PreconditionFailedError,
    Version,
    hash_version,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class MemoryStore(PlainStore):
    """fsspec's in-process store: for tests and trials, shared by one process' threads only."""

    _lock = threading.Lock()

    def __init__(self, fs: "AbstractFileSystem") -> None:
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The object, and its hash."""
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        return data, hash_version(data)

    def write(self, path: str, data: bytes, expected: Version) -> Version:
        """Compare and write under one lock."""
        with self._lock:
            found = self.read(path)
            if (found[1] if found else ABSENT) != expected:
                raise PreconditionFailedError
            self._fs.pipe_file(path, data)
        return hash_version(data)

    def delete(self, path: str, expected: Version) -> None:
        """Compare and remove under one lock."""
        with self._lock:
            found = self.read(path)
            if found is None:
                return
            if found[1] != expected:
                raise PreconditionFailedError
            self._fs.rm_file(path)


class UnconditionalStore(PlainStore):
    """Any store, written without conditions: the user promises a single writer, or nothing is written.

    :param known: the same as a kind of store that we know, which reads with half the work; None: we do not know it.
    """

    def __init__(self, fs: "AbstractFileSystem", known: ObjectStore | None) -> None:
        self._fs = fs
        self._known = known

    def versions(self, prefix: str) -> list[tuple[str, Version]] | None:
        """Those of the kind of store that we know."""
        return self._known.versions(prefix) if self._known else None

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The object; in a store that we do not know its version says only that it exists."""
        if self._known is not None:
            try:
                return self._known.read(path)
            except (KeyError, CleverSettingsError):
                self._known = None  # a store of this kind in name alone: it tells no versions, and needs none here
        try:
            return self._fs.cat_file(path), Version("there")
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes, expected: Version) -> None:  # noqa: ARG002 - that is the point
        """Write unconditionally."""
        self._fs.pipe_file(path, data)

    def delete(self, path: str, expected: Version) -> None:  # noqa: ARG002 - as above
        """Remove unconditionally."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)


_STORES: Final[dict[str, Callable[["AbstractFileSystem"], ObjectStore]]] = {
    "memory": MemoryStore,
    "s3": S3Store,
    "gs": GcsStore,
    "abfs": AzureStore,
}
"""The stores that write conditionally, by fsspec's protocol; without local files, which need more arguments."""


def store_for(fs: "AbstractFileSystem", root: str, lock_folder: LockFolder, *, single_writer: bool) -> ObjectStore:
    """Give the store of a file system.

    :param root: the destination's path on it.
    :param lock_folder: where local files keep their locks; other stores need none.
    :param single_writer: the user promises that no other task writes here.
    :raises CleverSettingsError: it cannot write conditionally, and there may be more than one writer.
    """
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    if "file" in protocols:
        return LocalStore(root, lock_folder, single_writer=single_writer)
    known = next((_STORES[protocol] for protocol in protocols if protocol in _STORES), None)
    if single_writer:
        return UnconditionalStore(fs, _as_known(fs, known))
    if known is not None:
        return known(fs)
    msg = (
        f"{protocols[0]}:// cannot write a file on condition that nobody else has changed it, so two pulls at once "
        "could lose rows: choose a local path, S3, Google Cloud Storage or Azure Blob Storage, or pass "
        "single_writer=True if never more than one task writes there"
    )
    raise CleverSettingsError(msg)


def _as_known(
    fs: "AbstractFileSystem", known: Callable[["AbstractFileSystem"], ObjectStore] | None
) -> ObjectStore | None:
    try:
        return known and known(fs)
    except CleverSettingsError:  # another release of the library than we know
        return None
