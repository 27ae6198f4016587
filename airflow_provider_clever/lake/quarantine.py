"""Keeps rows that cannot land, each once, so that a person can inspect them and they are reported only once."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects

Entries: TypeAlias = dict[str, dict[str, object]]
"""What is kept of each row, by the hash of its text."""


def quarantine(objects: Objects, district_id: str, rejected: Sequence[RejectedRow], *, today: date) -> int:
    """Keep rows, and give how many of them are new.

    They are spread over at most sixteen objects by the first digit of their hash: one request to find out that a row
    is known, two to add one, however many there are. If an object cannot be read or written, the others are
    still written; then its error is raised.
    """
    shards: dict[str, Entries] = {}
    for row in rejected:
        digest = hashlib.sha256(row.raw.encode()).hexdigest()
        entry = {"reason": row.reason, "page": row.page, "row": row.row, "raw": row.raw}
        shards.setdefault(digest[0], {}).setdefault(digest, entry | {"first_seen": today.isoformat()})

    def add(shard: str) -> tuple[int, CleverLandingError | None]:
        try:
            return _add(objects, shard_path(district_id, shard), shards[shard]), None
        except CleverLandingError as error:
            return 0, error

    added = list(in_order(add, sorted(shards)))
    for _, error in added:
        if error is not None:
            raise error
    return sum(new for new, _ in added)


def shard_path(district_id: str, digit: str) -> str:
    """Give the path of the object for rows whose hash begins with this digit."""
    return layout.our_path(district_id, "quarantine", f"{digit}.json.gz")


def _add(objects: Objects, path: str, entries: Entries) -> int:
    new: set[str] = set()

    def joined(data: bytes | None) -> bytes | None:
        try:
            known = read_gzipped_json(data) if data else {}
        except ValueError as error:
            msg = f"{objects.root}/{path} is damaged ({error}): restore it or move it away, then run again"
            raise CleverLandingError(msg) from None
        new.clear()
        new.update(entries.keys() - known.keys())
        return gzipped_json(entries | known) if new else None

    objects.update(path, joined)
    return len(new)


def first_seen_dates(objects: Objects, district_id: str) -> list[str]:
    """The date, ``YYYY-MM-DD``, on which each row in quarantine was first seen; a damaged object has none.

    :raises CleverLandingError: the destination cannot be read.
    """

    def read(path: str) -> list[str]:
        found = objects.read(path)
        try:
            return [str(entry.get("first_seen", "")) for entry in read_gzipped_json(found[0]).values()] if found else []
        except (ValueError, AttributeError):
            return []  # adding to it raises

    paths = objects.names(layout.our_path(district_id, "quarantine"))
    return [seen for dates in in_order(read, paths) for seen in dates]
