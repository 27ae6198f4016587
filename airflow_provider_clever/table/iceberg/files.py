"""Lists the files that a table needs and those in its folders, and removes files that it no longer needs."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.locations import load_location_provider

from airflow_provider_clever.storage.history import history_of
from airflow_provider_clever.table.iceberg.catalogs import CatalogSettings
from airflow_provider_clever.table.iceberg.data_files import remove

HINT: Final = "version-hint.text"
"""The file that names the newest state for readers of a folder."""


_LOCAL: Final = re.compile(r"^file:(?://)?")


class StoredFile(NamedTuple):
    """A file in a table's folders.

    :param location: as the table writes it.
    :param changed_at: seconds since 1970.
    """

    location: str
    changed_at: float


def needed_files(table: PyIcebergTable) -> set[str]:
    """Give the locations of all files that a table's present metadata refers to."""
    metadata = table.metadata
    found = {table.metadata_location, f"{table.metadata_location.rpartition('/')[0]}/{HINT}"}
    found |= {one.metadata_file for one in metadata.metadata_log}
    found |= {one.statistics_path for one in (*metadata.statistics, *metadata.partition_statistics)}
    manifests: dict[str, ManifestFile] = {}
    for snapshot in metadata.snapshots:
        found.add(snapshot.manifest_list)
        manifests |= {one.manifest_path: one for one in snapshot.manifests(table.io)}
    for path, manifest in manifests.items():
        found.add(path)
        found |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
    return found


def remove_all(table: PyIcebergTable, locations: Iterable[str], *, but: Collection[str]) -> list[str]:
    """Remove files except those that are needed, and give those that could not be removed."""
    kept = {plain(one) for one in but}
    return [one for one in locations if plain(one) not in kept and not remove(table, one)]


def plain(location: str) -> str:
    """Give a location in one form: a local path is written with a scheme and without."""
    return _LOCAL.sub("", location)


def stored_files(table: PyIcebergTable, folder: str) -> Iterator[StoredFile]:
    """List all files below a folder.

    :param folder: a location.
    :raises NotImplementedError: the table's file access cannot list.
    """
    io: Any = table.io  # pyiceberg's own interface has no listing
    if hasattr(io, "fs_by_scheme"):
        yield from _listed_by_pyarrow(io, folder)
    elif hasattr(io, "get_fs"):
        yield from _listed_by_fsspec(io, folder)
    else:
        raise NotImplementedError


def data_folder(table: PyIcebergTable) -> str:
    """Give the folder of a table's data files."""
    return load_location_provider(table.location(), table.properties).data_path


def old_versions_left(settings: CatalogSettings, table: PyIcebergTable, locations: Iterable[str]) -> list[str]:
    """Remove older versions of removed files from a bucket, and say what it may still keep, each with the next step."""
    paths = {one.partition("://")[2] for one in locations}
    if settings.warehouse or not paths:
        return []
    folder = data_folder(table)
    scheme, _, root = folder.partition("://")
    try:
        from pyiceberg.io.fsspec import FsspecFileIO

        history = history_of(FsspecFileIO(table.io.properties).get_fs(scheme))
        left = [f"{one.what}: {one.next_step}" for one in history.kept(root)]
        for version in history.old_versions(f"{root}/"):
            if version.path in paths:
                history.delete(version)
    except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds
        said = (
            f"whether the warehouse of {settings} keeps older versions of removed files could not be seen to "
            f"({type(error).__name__}): install what reaches it (airflow-provider-clever[s3], [gcs] or [azure]), give "
            "these credentials the right to list and remove versions, and run again"
        )
        return [said]
    return left


def _listed_by_pyarrow(io: Any, folder: str) -> Iterator[StoredFile]:
    from pyarrow.fs import FileSelector, FileType

    scheme, netloc, path = io.parse_location(folder)
    found = io.fs_by_scheme(scheme, netloc).get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    for one in found:
        if one.type == FileType.File:
            yield StoredFile(f"{scheme}://{one.path}", one.mtime.timestamp())


def _listed_by_fsspec(io: Any, folder: str) -> Iterator[StoredFile]:
    scheme = urlsplit(folder).scheme or "file"
    fs = io.get_fs(scheme)
    fs.invalidate_cache()
    for path, facts in fs.find(folder, detail=True).items():
        changed = facts.get("mtime") or facts.get("LastModified") or facts.get("last_modified")
        seconds = changed.timestamp() if hasattr(changed, "timestamp") else float(changed or 0)
        yield StoredFile(f"{scheme}://{path}", seconds)
