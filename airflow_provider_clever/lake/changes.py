"""Writes and reads the correction feed: the rows before and after each change of a partition, for keepers of copies.

The record of a change is written before the partition itself, under a name made of the run, the partition and the
content hashes before and after. So a try that is killed at any moment leaves no change of a partition without its
record, and the retry finds the records of the tries before it by listing one folder.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.batches import Row, batch_of, landed_schema, rows_of
from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.attendance.keys import Key, keys
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, SCHEMA_VERSION, names_of, version_of
from airflow_provider_clever.attendance.upgrade import upgrade
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import our_path
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import ABSENT, PreconditionFailedError

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY: Final = "0" * 16
"""Replaces the content hash of a partition that did not exist."""

_NAME: Final = re.compile(
    r"(?P<date>[^/.]+)\.(?P<school>[^/.]+)\.(?P<before>[0-9a-f]{16})\.(?P<after>[0-9a-f]{16})\.json\.gz"
)


class ChangeRecord(NamedTuple):
    """The record of one change of one partition.

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
    """Shorten a content hash as in the names of change records."""
    return content_hash[:16] if content_hash else EMPTY


def folder(district_id: str, idempotency_key: IdempotencyKey) -> str:
    """Give the folder of one run's change records, relative to the destination."""
    return our_path(district_id, "changes", idempotency_key.checked().month, idempotency_key.id)


def write_change(
    objects: Objects,
    district_id: str,
    idempotency_key: IdempotencyKey,
    record: tuple[str, str, str, str],
    found: Iterable[merge.Change],
) -> ChangeRecord:
    """Write the rows of a change that is about to be made.

    :param record: school id, attendance date, content hash before and after (short).
    :param found: the rows.
    :raises CleverLandingError: the destination cannot be written.
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
    except PreconditionFailedError:  # an earlier try has written the same: the name contains both hashes
        objects.update(path, lambda found: None if found and _is_whole(found) else data)
    return ChangeRecord(path, school_id, attendance_date, before, after)


def _is_whole(data: bytes) -> bool:
    try:
        read_gzipped_json(data)
    except ValueError:
        return False
    return True


def records(objects: Objects, district_id: str, idempotency_key: IdempotencyKey) -> list[ChangeRecord]:
    """List the change records that all tries of a run have written, including those of lost races."""
    found = []
    for path in objects.names(folder(district_id, idempotency_key)):
        name = _NAME.fullmatch(path.rpartition("/")[2])
        if name:
            found.append(ChangeRecord(path, name["school"], name["date"], name["before"], name["after"]))
    return found


def in_effect(found: Iterable[ChangeRecord], current: dict[tuple[str, str], str]) -> list[ChangeRecord]:
    """Leave out the records of changes that were never made: their partition is still what it was before.

    :param current: content hash of each partition now, by school id and attendance date.
    """

    def made(record: ChangeRecord) -> bool:
        now = short_hash(current.get((record.school_id, record.attendance_date)))
        return now == record.after or now != record.before

    return [record for record in found if made(record)]


def replay(
    before: "pa.RecordBatch", found: Iterable[dict[str, Any]], after: str, *, start: str | None = None
) -> "pa.RecordBatch":
    """Apply those changes to a partition's rows that lead from them to a content hash.

    :param before: the rows to start from, sorted by key, in the columns of any schema version.
    :param found: change documents of this partition, in any order, of any schema version, lost races among them.
    :param after: the content hash to arrive at (short).
    :param start: the content hash to start from (short), as the last receipt or change says it. Default: that of the
        rows. It must be given for rows that landed under an older schema and have been upgraded since.
    :returns: the rows in today's columns.
    :raises CleverLandingError: if these changes do not lead there.
    """
    start = start or (short_hash(content_hash(before)) if before.num_rows else EMPTY)
    steps: dict[str, list[dict[str, Any]]] = {}
    for document in found:
        steps.setdefault(document["before"], []).append(document)
    reached = {start: _by_key(before, version_of(before.schema.names) or SCHEMA_VERSION)}
    todo = [start]
    while todo and after not in reached:
        here = todo.pop()
        for document in steps.get(here, ()):
            there = document["after"]
            if there not in reached:
                reached[there] = reached[here] | _changed(document)
                todo.append(there)
    if after not in reached:
        raise CleverLandingError("these changes do not lead from the rows before to the rows after; some are not there")
    return batch_of([row for _, row in sorted(reached[after].items())], landed_schema())


def _changed(document: dict[str, Any]) -> dict[Key, Row]:
    version = document["schema_version"]
    rows = (tuple(change["after"][name] for name in names_of(version)) for change in document["changes"])
    return _by_key(batch_of(rows, landed_schema(version)), version)


def _by_key(batch: "pa.RecordBatch", version: int) -> dict[Key, Row]:
    """Give the rows in today's columns, by key."""
    batch = upgrade(batch, version)
    return dict(zip(keys(batch), rows_of(batch), strict=True))


def read_change(objects: Objects, path: str) -> dict[str, Any]:
    """Read one change document.

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
