"""Tries whether a file system has the operations that landing needs, before there is anything to land.

Network and user-space file systems lack some operations, and few of them say so. If one is missing, the destination is
refused with the reason; only flushing a folder may be missing, because it protects against a power cut only.
"""

import fcntl
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage import local_files

log = logging.getLogger(__name__)

OBJECT_STORES_IN_DISGUISE: Final = frozenset(
    {
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.gcsfuse",
        "fuse.goofys",
        "fuse.mountpoint-s3",
        "fuse.rclone",
        "fuse.s3fs",
    }
)
"""File systems that copy instead of renaming, and whose locks work only on this machine, as Linux names them."""


def probe(root: str, folders: Sequence[str], *, single_writer: bool = False) -> None:
    """Lock, write, flush and rename as a landing does, with files of its own, and check the kind of the folders.

    :param root: the destination's path.
    :param folders: what is to be written to, relative to the root; the files of its own go to the first.
    :param single_writer: True: locks may be missing.
    :raises CleverSettingsError: an operation that landing needs is missing; the message says what.
    """
    folder = Path(root) / folders[0]
    local_files.make_folder(str(folder))
    _check_folders(Path(root), folders, single_writer=single_writer)
    kind = file_system_of(folder)
    if kind in OBJECT_STORES_IN_DISGUISE and not single_writer:
        raise CleverSettingsError(
            f"{root} is an object store that is mounted as a file system ({kind}), which copies where a file system "
            "renames, so two pulls at once could lose rows: name the store itself (s3://, gs:// or abfs://), or pass "
            "single_writer=True if never more than one task writes there"
        )
    file = folder / "rehearsal"
    with local_files.lock(f"{file}.lock", root, single_writer=single_writer):
        if not single_writer:
            _check_that_it_is_locked(f"{file}.lock", root)
        token = secrets.token_hex(8).encode()
        local_files.replace_file(str(file), f"{file}.tmp", token)
        replaced = file.read_bytes() if file.exists() else b""
        if replaced != token or Path(f"{file}.tmp").exists():
            raise CleverSettingsError(
                f"{root} lies on a file system ({kind or 'of unknown kind'}) that does not replace a file by renaming "
                "another one over it: choose another destination"
            )
    if not local_files.flush_folder(str(folder)):
        log.warning(
            "%s lies on a file system (%s) that cannot flush folders: after a power cut the newest files may be "
            "missing, so verify the destination then",
            root,
            kind or "of unknown kind",
        )


def _check_that_it_is_locked(lock_file: str, root: str) -> None:
    """Make sure that a lock excludes others: some file systems grant every lock."""
    descriptor = os.open(lock_file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
    raise local_files.no_locks(root, "one lock was granted twice")


def _check_folders(root: Path, folders: Sequence[str], *, single_writer: bool) -> None:
    """Make sure that the folder is not also below another destination, where it would have other locks."""
    mount = _mount_id(root)
    for path in folders:
        folder = root
        for name in Path(path).parts:
            folder /= name
            if folder.is_symlink() and not single_writer:
                raise CleverSettingsError(
                    f"{folder} is a symbolic link, so whoever writes to what it points to would not see the locks of "
                    "this destination: put the folder itself there, name as destination what holds it, or pass "
                    "single_writer=True if never more than one task writes there"
                )
            if folder.exists() and _mount_id(folder) != mount:
                raise CleverSettingsError(
                    f"{folder} is a mount of its own, and a file cannot be renamed from one mount into another: mount "
                    f"what holds {name} as a whole, and name that as destination"
                )


def _mount_id(folder: Path) -> str:
    """Identify the mount of a folder: a file cannot be renamed between two mounts, even of one file system."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        return next(line for line in info.splitlines() if line.startswith("mnt_id:")).split()[1]
    except (OSError, StopIteration):  # no Linux
        return str(os.fstat(descriptor).st_dev)
    finally:
        os.close(descriptor)


def file_system_of(folder: Path) -> str:
    """Give the kind of file system of a folder, as Linux names it; empty if it does not say."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return ""
    return kind_of_mount(mounts, _mount_id(folder))


def kind_of_mount(mounts: str, mount_id: str) -> str:
    """Read the kind of a mount out of ``/proc/self/mountinfo`` (proc(5): the field after the lone dash)."""
    for line in mounts.splitlines():
        fields = line.split()
        if fields and fields[0] == mount_id and "-" in fields:
            return fields[fields.index("-") + 1]
    return ""
