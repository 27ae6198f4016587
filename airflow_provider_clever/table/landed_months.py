"""Which months of a district have landed, what marks them, and which partitions each has."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby

from airflow_provider_clever.exceptions import CleverDataError, CleverPartitionError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.layout import PartitionName
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects


def landed_months(objects: Objects, district_id: str) -> dict[str, str | None]:
    """The months of which anything stands landed, in order, each with its mark; None: it has none.

    A mark changes whenever a partition of the month does, or soon after. On a file system it is made of the times at
    which the folders of days have changed. Elsewhere it is the version of the notes about the month
    (lake/known_partitions.py), which every pull writes again that has written a partition.

    :raises CleverLandingError: the destination cannot be listed.
    """
    prefix = layout.landed_prefix(district_id)
    folders = sorted(path.rpartition("/date=")[2] for path in objects.names(prefix))
    months = dict.fromkeys(day[:7] for day in folders if _is_day(day))
    return {month: marks.get(month) for marks in [_marks(objects, district_id)] for month in months}


def _marks(objects: Objects, district_id: str) -> dict[str, str | None]:
    notes = objects.versions(f"{layout.our_path(district_id, 'partitions')}/")
    if notes is not None:
        return {path.rpartition("/")[2][:7]: version.mark for path, version in notes.items()}
    times = sorted(objects.folder_marks(layout.landed_prefix(district_id)).items())
    by_month = groupby(times, lambda one: one[0].removeprefix("date=")[:7])
    return {month: _mark_of(found) for month, found in by_month}


def _mark_of(folders: Iterable[tuple[str, str | None]]) -> str | None:
    """One mark of several folders; None: one of them has none."""
    found = list(folders)
    if any(mark is None for _, mark in found):
        return None
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def partitions_of(objects: Objects, district_id: str, month: str) -> Mapping[str, PartitionName]:
    """The partitions of a month by their paths, in the order of days and schools.

    :raises CleverPartitionError: a school's day has landed in two formats.
    :raises CleverLandingError: the destination cannot be listed.
    """
    found: dict[tuple[str, str], tuple[str, PartitionName]] = {}
    for path in _paths(objects, district_id, month):
        name = layout.parse_partition_path(path)
        if name is None:
            continue  # verify calls it strange
        place = (name.attendance_date, name.school_id)
        if place in found:
            raise CleverPartitionError(
                f"{objects.root}/{path} and {found[place][0]} are the same school's day in two formats, so its rows "
                "would come twice. Move one of them away, then run again"
            )
        found[place] = (path, name)
    return dict(found[place] for place in sorted(found))


def _paths(objects: Objects, district_id: str, month: str) -> Iterable[str]:
    prefix = layout.landed_prefix(district_id)
    listed = objects.versions(f"{prefix}/date={month}-")
    if listed is not None:
        return listed
    days = [folder for folder in objects.names(prefix) if folder.startswith(f"{prefix}/date={month}-")]
    return (path for paths in in_order(objects.names, days) for path in paths)


def _is_day(text: str) -> bool:
    try:
        return bool(layout.checked_date(text))
    except CleverDataError:
        return False
