"""Defines conditional writes: an object is read with its version, and replaced only if it still has that version.

A version is an ETag, a generation, or a hash of the bytes in stores without either.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol


class Version(NamedTuple):
    """The version of an object, opaque to all code but its store."""

    mark: str | None


ABSENT: Final = Version(None)
"""The version of an object that does not exist."""

NEVER: Final = Version("0")
"""A version that no object ever has."""


def hash_version(data: bytes) -> Version:
    """Give the version of an object in a store without versions: a hash of its bytes."""
    return Version(hashlib.sha256(data).hexdigest())


class PreconditionFailedError(Exception):
    """The object no longer has the version that was read; nothing was written."""


class ObjectStore(Protocol):
    """The operations of a kind of store. Paths are the file system's own."""

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """The object's bytes and the version of exactly these bytes; None if there is none."""
        ...

    def write(self, path: str, data: bytes, expected: Version) -> Version | None:
        """Write the object whole, or not at all.

        :returns: its new version; None if the store does not say.
        :raises PreconditionFailedError: if ``expected`` is no longer the object's version.
        """
        ...

    def versions(self, prefix: str) -> list[tuple[str, Version]] | None:
        """The paths that begin with a prefix, with their versions; None if the store's listings say none."""
        ...

    def delete(self, path: str, expected: Version) -> None:
        """Remove the object, if ``expected`` is still its version. One that is gone already is removed.

        :raises PreconditionFailedError: another version stands there now.
        """
        ...

    def probe(self, root: str, folders: Sequence[str]) -> None:
        """Try the operations of a write that the store's own answers do not guarantee.

        :raises CleverSettingsError: something is missing.
        """
        ...


class PlainStore:
    """A store whose listings say no versions, and whose answers leave nothing to try."""

    def versions(self, prefix: str) -> list[tuple[str, Version]] | None:  # noqa: ARG002 - it has none
        """No listing says any."""
        return None

    def probe(self, root: str, folders: Sequence[str]) -> None:
        """Nothing is left open."""
