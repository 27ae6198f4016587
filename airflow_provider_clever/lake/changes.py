"""The correction feed: per changed partition the rows before and after, for anyone who keeps a copy in step.

The record of a change is written before the partition itself, under a name made of the run, the partition and the
content hashes before and after. So a try that is killed at any moment leaves no change of a partition without its
record, and the retry finds the records of the tries before it by listing one folder.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from airflow_provider_clever.attendance import content as row_batches
from airflow_provider_clever.attendance import keys as rows
from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.batches import as_batch, length
from airflow_provider_clever.attendance.rows import Columns
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, SCHEMA_VERSION, names_of, version_of
from airflow_provider_clever.attendance.upgrade import upgrade
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import our_path
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT, PreconditionFailedError

EMPTY: Final = "0" * 16
"""Stands for the content hash of a partition that did not exist."""

_NAME: Final = re.compile(
    r"(?P<date>[^/.]+)\.(?P<school>[^/.]+)\.(?P<before>[0-9a-f]{16})\.(?P<after>[0-9a-f]{16})\.json\.gz"
)


class ChangeRecord(NamedTuple):
    """Where the rows of one change of one partition are kept.

    :param path: relative to the destination.
    :param before: the first 16 digits of the content hash before, or :data:`EMPTY`.
    :param after: the same of the hash after.
    """

    path: str
    school_id: str
    attendance_date: str
    before: str
    after: str


def short_hash(content_hash: str | None) -> str:
    """A content hash as it stands in the names of change records."""
    return content_hash[:16] if content_hash else EMPTY


def folder(district_id: str, idempotency_key: IdempotencyKey) -> str:
    """The folder that holds the change records of one run, relative to the destination."""
    return our_path(district_id, "changes", idempotency_key.checked().month, idempotency_key.id)


def write_change(
    objects: Objects,
    district_id: str,
    idempotency_key: IdempotencyKey,
    record: tuple[str, str, str, str],
    found: Iterable[merge.Change],
) -> ChangeRecord:
    """Keep the rows of a change that is about to be made.

    :param record: school id, attendance date, content hash before and after (short).
    :param found: the rows.
    :raises CleverLandingError: if the destination does not take it.
    """
    school_id, attendance_date, before, after = record
    path = f"{folder(district_id, idempotency_key)}/{attendance_date}.{school_id}.{before}.{after}.json.gz"
    document = {
        "schema_version": SCHEMA_VERSION,
        "district_id": district_id,
        "school_id": school_id,
        "attendance_date": attendance_date,
        "before": before,
        "after": after,
        "changes": [
            {
                "before": change.before and dict(zip(LANDED_COLUMNS, change.before, strict=True)),
                "after": dict(zip(LANDED_COLUMNS, change.after, strict=True)),
            }
            for change in found
        ],
    }
    data = gzipped_json(document)
    try:
        objects.write(path, data, ABSENT)
    except PreconditionFailedError:  # an earlier try has written the very same: the name holds both hashes
        objects.update(path, lambda found: None if found and _is_whole(found) else data)
    return ChangeRecord(path, school_id, attendance_date, before, after)


def _is_whole(data: bytes) -> bool:
    try:
        read_gzipped_json(data)
    except ValueError:
        return False
    return True


def records(objects: Objects, district_id: str, idempotency_key: IdempotencyKey) -> list[ChangeRecord]:
    """The change records that all tries of a run have written, those of a lost race among them."""
    found = []
    for path in objects.names(folder(district_id, idempotency_key)):
        name = _NAME.fullmatch(path.rpartition("/")[2])
        if name:
            found.append(ChangeRecord(path, name["school"], name["date"], name["before"], name["after"]))
    return found


def in_effect(found: Iterable[ChangeRecord], current: dict[tuple[str, str], str]) -> list[ChangeRecord]:
    """Leave out the records of changes that were never made: their partition still stands where they start.

    :param current: content hash of each partition now, by school id and attendance date.
    """

    def made(record: ChangeRecord) -> bool:
        now = short_hash(current.get((record.school_id, record.attendance_date)))
        return now == record.after or now != record.before

    return [record for record in found if made(record)]


def replay(before: Columns, found: Iterable[dict[str, object]], after: str, *, start: str | None = None) -> Columns:
    """The rows of a partition after some of these changes: those that lead from its rows to a content hash.

    :param before: the rows to start from, sorted by key, in the columns of any schema version.
    :param found: change documents of this partition, in any order, of any schema version, lost races among them.
    :param after: the content hash to arrive at (short).
    :param start: the content hash to start from (short), as the last receipt or change says it. Default: that of the
        rows. It must be given for rows that landed under an older schema and have been upgraded since.
    :returns: the rows in today's columns.
    :raises CleverLandingError: if these changes do not lead there.
    """
    start = start or (short_hash(row_batches.content_hash(as_batch(before))) if length(before) else EMPTY)
    before = upgrade(before, version_of(tuple(before)) or SCHEMA_VERSION)
    steps: dict[str, list[dict[str, object]]] = {}
    for document in found:
        steps.setdefault(str(document["before"]), []).append(document)
    reached: dict[str, Columns] = {start: before}
    todo = [start]
    while todo and after not in reached:
        here = todo.pop()
        for document in steps.get(here, ()):
            there = str(document["after"])
            if there not in reached:
                reached[there] = _applied(reached[here], document)
                todo.append(there)
    if after not in reached:
        raise CleverLandingError("these changes do not lead from the rows before to the rows after; some are not there")
    return reached[after]


def _applied(columns: Columns, document: dict[str, object]) -> Columns:
    by_key = dict(zip(rows.keys(columns), zip(*columns.values(), strict=True), strict=True))
    listed, version = document["changes"], document["schema_version"]
    assert isinstance(listed, list) and isinstance(version, int)  # noqa: PT018, S101 - for mypy; read_change checks it
    landed = {name: [change["after"][name] for change in listed] for name in names_of(version)}
    changed = upgrade(landed, version)
    by_key |= dict(zip(rows.keys(changed), zip(*changed.values(), strict=True), strict=True))
    ordered = [by_key[key] for key in sorted(by_key)]
    return {name: list(values) for name, values in zip(LANDED_COLUMNS, zip(*ordered, strict=True), strict=True)}


def read_change(objects: Objects, path: str) -> dict[str, object]:
    """One change document.

    :raises CleverLandingError: if it is not there or damaged.
    """
    found = objects.read(path)
    try:
        document = read_gzipped_json(found[0]) if found else None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("changes"), list):
        msg = f"{path} is not there, or damaged: restore it, or rebuild the copy from the partitions"
        raise CleverLandingError(msg)
    if document.get("schema_version") not in range(1, SCHEMA_VERSION + 1):
        msg = f"a newer version of airflow-provider-clever wrote {path}: upgrade this one, then read it again"
        raise CleverLandingError(msg)
    return document
