"""Removes from a pull's own objects the students who were forgotten while it ran."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from airflow_provider_clever.attendance.merge import Counts
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.forget.found import Found
from airflow_provider_clever.forget.rules import Rule, Students, WholeDistrict
from airflow_provider_clever.forget.sweeping import Sweeper
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.forgotten import read_forgotten
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.store import Destination, PartitionOutcome

_MOST_TIMES: Final = 30


def forget_since(
    destination: Destination,
    outcomes: Iterable[PartitionOutcome],
    idempotency_key: IdempotencyKey,
    *,
    forget_secret: str | None,
    write_changes: bool,
) -> list[PartitionOutcome]:
    """Read the requests to forget again, after the last write and before the receipt; if there are new ones, clean.

    :param destination: where the pull has landed.
    :param outcomes: what it has landed.
    :param idempotency_key: of the run.
    :param forget_secret: makes the keyed hashes by which forgotten students are recognized.
    :param write_changes: whether the pull keeps a correction feed.
    :returns: the outcomes of the partitions that were cleaned.
    :raises CleverSettingsError: the district was forgotten; what the pull has written is removed.
    :raises CleverLandingError: not everything could be cleaned; the sweep that makes the request final will do so.
    """
    objects, district_id = destination.objects, destination.district_id
    written = {one.path: one for one in outcomes if one.outcome == "written"}
    cleaned: dict[str, PartitionOutcome] = {}

    def sweep(rule: Rule) -> Found:
        feed = idempotency_key if write_changes else None
        own = objects.names(layout.our_path(district_id, "quarantine"))
        if write_changes:
            own += objects.names(changes.folder(district_id, idempotency_key))
        return Sweeper(objects, district_id, rule, feed=feed).these([*written, *own])

    for _ in range(_MOST_TIMES):
        found = read_forgotten(objects, district_id)
        if found.tombstone is not None:
            sweep(WholeDistrict())
            found.refuse_tombstone()
        if not destination.forgotten.follow(found, forget_secret) or destination.forgotten.denied is None:
            return list(cleaned.values())
        done = sweep(Students(destination.forgotten.denied))
        if done.unreached:
            raise CleverLandingError(
                f"A request to forget came while this pull ran, and not all that it had written could be cleaned: "
                f"{done.unreached[0].what}. {done.unreached[0].next_step[0].upper()}{done.unreached[0].next_step[1:]}."
            )
        for path, touched in done.touched.items():
            if path in written:
                now = cleaned.get(path, written[path])
                cleaned[path] = replace(
                    now,
                    rows=now.rows - touched.rows,
                    received=0,
                    content_hash=touched.after,
                    counts=Counts(),
                    rejected=(),
                    change=None,
                )
    raise CleverLandingError("What is to be forgotten kept changing while this pull ended; run it again")
