"""Checks that a destination can be landed in, before any request to Clever."""

import json
import logging
from contextlib import suppress
from typing import Final

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT, NEVER, PreconditionFailedError

log = logging.getLogger(__name__)

FIRST_LAYOUT: Final = 1
LAYOUT_VERSION: Final = 2
"""The newest version of the marker. From 2 on a pull must read requests to forget, so older packages refuse to land."""


def marker_path(district_id: str) -> str:
    """The object that says in which format a district is landed."""
    return layout.our_path(district_id, "destination.json")


def check(objects: Objects, district_id: str, file_format: str, *, forgets: bool = False) -> None:
    """Make sure that what is landed has this format, and that the store compares and swaps.

    What a file system may lack is tried first. The marker that keeps the format is the object that the store's honesty
    is tried on: it is written only on conditions that do not hold.

    :param forgets: whether anything is forgotten here, so that older versions must be kept out. Default False.
    :raises CleverSettingsError: if another format is landed, or the store overwrites although it was told not to.
    :raises CleverLandingError: if the destination cannot be reached, read or written.
    """
    objects.probe(layout.our_path(district_id, "local"), layout.landed_prefix(district_id))
    path = marker_path(district_id)
    marker = _marker(file_format, LAYOUT_VERSION if forgets else FIRST_LAYOUT)
    found = objects.read(path)
    if found is None:
        _refuse_another(_landed_format(objects, district_id) or file_format, file_format, objects.root)
        try:
            objects.write(path, marker, ABSENT)
        except PreconditionFailedError:  # another task came first
            found = objects.read(path)
    if found is not None:
        landed = _marked_format(path, found[0])
        _refuse_another(landed or _landed_format(objects, district_id) or file_format, file_format, objects.root)
        if landed is None:
            if found[0] == _FORGOTTEN_FIRST:
                marker = _marker(file_format, LAYOUT_VERSION)
            else:
                log.warning("%s was damaged, and is written again: the files that have landed say the same", path)
            with suppress(PreconditionFailedError):
                objects.write(path, marker, found[1])
    if not objects.single_writer:
        _try_to_overwrite(objects, path, marker)


def format_at(objects: Objects, district_id: str) -> str | None:
    """Give the format that a district is landed in; None: nothing has landed, and nothing was tried.

    :raises CleverLandingError: the destination cannot be read.
    """
    path = marker_path(district_id)
    found = objects.read(path)
    return (_marked_format(path, found[0]) if found else None) or _landed_format(objects, district_id)


def keep_older_versions_out(objects: Objects, district_id: str) -> None:
    """Raise the layout version that the marker says: what is older than this refuses to land here from now on.

    :raises CleverSettingsError: a newer version lands here.
    :raises CleverLandingError: the marker cannot be read or written.
    """
    path = marker_path(district_id)

    def raised(marker: bytes | None) -> bytes | None:
        landed = _marked_format(path, marker) if marker else None
        after = _marker(landed or _landed_format(objects, district_id), LAYOUT_VERSION)
        return None if marker == after else after

    objects.update(path, raised)


def _marker(file_format: str | None, layout_version: int) -> bytes:
    return json.dumps({"file_format": file_format, "layout_version": layout_version}).encode()


_FORGOTTEN_FIRST: Final = _marker(None, LAYOUT_VERSION)
"""What stands where something was forgotten before anything landed: the first that lands chooses the format."""


def _landed_format(objects: Objects, district_id: str) -> str | None:
    for folder in objects.names(layout.landed_prefix(district_id)):
        for path in objects.names(folder):
            name = layout.parse_partition_path(path)
            if name:
                return name.file_format
    return None


def _marked_format(path: str, marker: bytes) -> str | None:
    """The format that the marker says; None if it says none, or is damaged."""
    try:
        document = json.loads(marker)
        file_format, version = document["file_format"], int(document["layout_version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if version > LAYOUT_VERSION:
        msg = (
            f"{path} says that a newer version of airflow-provider-clever lands here, in another layout. Upgrade this "
            "one, then run again"
        )
        raise CleverSettingsError(msg)
    return file_format if isinstance(file_format, str) else None


def _refuse_another(landed: str, asked: str, root: str) -> None:
    if landed != asked:
        msg = (
            f"file_format is {asked!r}, but {root} holds this district as {landed!r}, and days that Clever has "
            f"forgotten cannot be pulled again in another format: set file_format={landed!r}, or choose an empty "
            "destination"
        )
        raise CleverSettingsError(msg)


def _try_to_overwrite(objects: Objects, path: str, marker: bytes) -> None:
    for version in (ABSENT, NEVER):
        try:
            objects.write(path, marker, version)
        except PreconditionFailedError:
            continue
        msg = (
            f"{objects.root} overwrites an object although it was told not to, so two pulls at once could lose rows: "
            "choose a store that honours conditional writes, or pass single_writer=True if never more than one task "
            "writes there"
        )
        raise CleverSettingsError(msg)
