"""Removes what a table no longer needs: earlier states, files that were never committed, what was forgotten."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.refs import MAIN_BRANCH

from airflow_provider_clever.table.iceberg.catalogs import CatalogSettings
from airflow_provider_clever.table.iceberg.files import (
    HINT,
    data_folder,
    needed_files,
    old_versions_left,
    plain,
    remove_all,
    stored_files,
)
from airflow_provider_clever.table.iceberg.snapshots import (
    METADATA_KEPT,
    LostRaceError,
    expirable,
    prepared_swap,
    set_properties,
)

log = logging.getLogger(__name__)

FENCE: Final = "clever.fence"
"""The property that is changed before files are removed that a running writer may be about to commit."""


_SWEPT: Final = "clever.swept"


def fence_of(table: PyIcebergTable) -> str:
    """Give the fence of a table. A file from before it changed may be removed already, so it is not committed."""
    return table.properties.get(FENCE, "")


def tidy(settings: CatalogSettings, table: PyIcebergTable, past: set[str], orphans_after: timedelta) -> None:
    """Point readers at the newest state; remove files that only expired states needed, and files never committed.

    A failure does not affect the commit, and the next one tidies again.

    :param past: the files that the table needed before the commit, if that expired anything.
    :param orphans_after: how old an uncommitted file must be: its writer may still be running.
    """
    try:
        point_at_newest(settings, table)
        if past:
            remove_all(table, past, but=needed_files(table))
        if settings.warehouse:
            _remove_orphans(settings, table, orphans_after)
    except (LostRaceError, FileNotFoundError):
        log.debug("Another process was faster; it tidies")
    except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds
        log.warning("%s was updated, but not tidied (%s); the next run does that", settings, type(error).__name__)


def point_at_newest(settings: CatalogSettings, table: PyIcebergTable) -> None:
    """Name the newest state for readers of the embedded table's folder, until it is the one that the catalog has."""
    while settings.warehouse:
        location = table.metadata_location
        folder, _, name = plain(location).rpartition("/")
        hint, text = Path(folder, HINT), name.removesuffix(".metadata.json")
        if not hint.is_file() or hint.read_text() != text:
            aside = hint.with_name(f"{uuid4().hex}.tmp")
            aside.write_text(text)
            aside.replace(hint)
        if table.refresh().metadata_location == location:
            return


def forget_past(
    settings: CatalogSettings,
    table: PyIcebergTable,
    *,
    is_meant: Callable[[str], bool],
    added: Iterable[DataFile] = (),
    removed: Iterable[DataFile] = (),
) -> list[str]:
    """Remove all earlier states, and each file of what is forgotten that the present one does not need.

    A running writer may have read rows before they were forgotten. The files that it has written are removed; when it
    commits, it finds that the fence has changed, and writes them again.

    :param is_meant: whether a file, by its location, may contain it, where the folder may hold other files too.
    :param added: files to add to the table.
    :param removed: files to remove from it.
    :returns: what could not be removed, each with the next step.
    :raises LostRaceError: another commit came first; nothing was removed.
    """
    said: list[str] = []
    past = needed_files(table)
    try:
        past |= _of_nobody(settings, table, is_meant)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        said.append(
            f"the files of {settings} cannot be listed from here ({type(error).__name__}), so some that were never "
            "committed may be left: give these credentials the right to list the warehouse, and run again"
        )
    # The first commit makes the present state an earlier one; after the second, not even its metadata is kept.
    properties = {FENCE: uuid4().hex, METADATA_KEPT: "1"}
    expired = expirable(table, None)
    prepared_swap(table, added=added, removed=removed, properties=properties, expired=expired)()
    with suppress(LostRaceError):
        set_properties(table, {_SWEPT: uuid4().hex})
    point_at_newest(settings, table)
    needed = needed_files(table)
    left = remove_all(table, past, but=needed)
    if left:
        said.append(
            f"{len(left)} files of {settings} could not be removed, {left[0]} among them: give these credentials the "
            "right to remove files in the warehouse, and run again"
        )
    kept = sorted(name for name in table.metadata.refs if name != MAIN_BRANCH)
    if kept:
        said.append(f"branches or tags of {settings} keep earlier states ({', '.join(kept)}): drop them, and run again")
    return said + old_versions_left(settings, table, past - needed)


def left_without_catalog(settings: CatalogSettings) -> list[str]:
    """Say that files of a table are left that its catalog does not know any more, if that can be seen from here."""
    folder = settings.warehouse and Path(settings.warehouse, settings.table)
    left = sum(one.is_file() for one in folder.rglob("*")) if folder else 0
    if not left:
        return []
    said = (
        f"the catalog does not know {settings}, but {left} of its files are left in {folder}: restore the catalog or "
        "remove that folder, and run again"
    )
    return [said]


def _of_nobody(settings: CatalogSettings, table: PyIcebergTable, is_meant: Callable[[str], bool]) -> set[str]:
    """List the files that may belong to no state: all in a warehouse of ours, else the data files that are meant."""
    if settings.warehouse:
        return {one.location for one in stored_files(table, table.location())}
    return {one.location for one in stored_files(table, data_folder(table)) if is_meant(one.location)}


def _remove_orphans(settings: CatalogSettings, table: PyIcebergTable, orphans_after: timedelta) -> None:
    limit = datetime.now(UTC).timestamp() - orphans_after.total_seconds()
    old = [one.location for one in stored_files(table, table.location()) if one.changed_at < limit]
    needed = {plain(one) for one in needed_files(table)}
    if all(plain(one) in needed for one in old):
        return
    prepared_swap(table, properties={FENCE: uuid4().hex})()
    point_at_newest(settings, table)
    remove_all(table, old, but=needed_files(table))
