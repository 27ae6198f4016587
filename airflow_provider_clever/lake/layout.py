"""Defines the paths at a destination: landed partitions under one prefix, our own bookkeeping under another."""

import re
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.attendance.values import ID_PATTERN
from airflow_provider_clever.exceptions import CleverDataError, CleverSettingsError
from airflow_provider_clever.storage.objects import Objects

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTENSIONS: Final = {"parquet": ".parquet", "jsonl": ".jsonl.gz"}
"""How the files of each format end."""

_ID: Final = re.compile(ID_PATTERN)
_PARTITION: Final = re.compile(
    r"attendance/district=(?P<district>[^/]+)/date=(?P<date>[^/]+)/school-(?P<school>[^/]+?)(?P<end>\.parquet|\.jsonl\.gz)"
)


class PartitionName(NamedTuple):
    """What a partition's path says: one school of one district on one day."""

    district_id: str
    attendance_date: str
    school_id: str
    file_format: str


def checked_id(value: str, what: str) -> str:
    """Give the id itself, if it may be part of a path.

    :raises CleverDataError: it may not. The message does not quote it.
    """
    if not _ID.fullmatch(value):
        msg = f"a {what} holds characters that may not enter a path; ids are 1 to 64 of 0-9, A-Z, a-z, _ and -"
        raise CleverDataError(msg)
    return value


def checked_date(value: str) -> str:
    """Give the date itself, if it is written ``YYYY-MM-DD``.

    :raises CleverDataError: if it is not.
    """
    try:
        is_canonical = date.fromisoformat(value).isoformat() == value
    except ValueError:
        is_canonical = False
    if not is_canonical:
        msg = "an attendance date is not written YYYY-MM-DD, so it has no partition"
        raise CleverDataError(msg)
    return value


def checked_format(file_format: str) -> str:
    """Give the format itself, if we can write it.

    :raises CleverSettingsError: if we cannot.
    """
    if file_format not in EXTENSIONS:
        msg = f"file_format is {file_format!r}; choose one of {', '.join(map(repr, EXTENSIONS))}"
        raise CleverSettingsError(msg)
    return file_format


def landed_prefix(district_id: str) -> str:
    """The prefix, relative to the destination, that holds a district's partitions and nothing else."""
    return f"attendance/district={checked_id(district_id, 'district id')}"


def partition_path(district_id: str, attendance_date: str, school_id: str, file_format: str) -> str:
    """The path of one partition, relative to the destination."""
    day, school = checked_date(attendance_date), checked_id(school_id, "school id")
    return f"{landed_prefix(district_id)}/date={day}/school-{school}{EXTENSIONS[file_format]}"


def schools_path(district_id: str) -> str:
    """The path of the file that names a district's schools, relative to the destination."""
    return f"schools/district={checked_id(district_id, 'district id')}/schools.parquet"


def parse_partition_path(path: str) -> PartitionName | None:
    """Give what a path, relative to the destination, names. None: it is no path of a partition of ours."""
    found = _PARTITION.fullmatch(path)
    if found is None:
        return None
    file_format = next(name for name, end in EXTENSIONS.items() if end == found["end"])
    name = PartitionName(found["district"], found["date"], found["school"], file_format)
    try:
        canonical = partition_path(name.district_id, name.attendance_date, name.school_id, file_format)
    except CleverDataError:
        return None
    return name if canonical == path else None


def our_path(district_id: str, *parts: str) -> str:
    """A path of our own bookkeeping about a district, relative to the destination."""
    return "/".join((f"_clever/district={checked_id(district_id, 'district id')}", *parts))


def lock_folder(path: str) -> str:
    """The folder for the lock of a path on a file system: with our bookkeeping about the district whose path it is."""
    return f"_clever/{path.split('/')[1]}/local"


def objects_at(fs: "AbstractFileSystem", root: str, *, single_writer: bool = False) -> Objects:
    """The objects of a destination.

    :param fs: any fsspec file system.
    :param root: the destination's path on it.
    :param single_writer: the user promises that no other task writes here, so a store without conditional writes is
        accepted. Default False.
    """
    return Objects(fs, root, lock_folder=lock_folder, single_writer=single_writer)
