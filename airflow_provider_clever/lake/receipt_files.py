"""Receipts at a destination: kept, joined with those of earlier tries, and read again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_clever.exceptions import CleverError, CleverLandingError
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.receipts import Receipt, unite
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from airflow_provider_clever.lake.store import Destination


def write_receipt(destination: "Destination", receipt: Receipt) -> str:
    """Keep a receipt, joined with that of an earlier try of the same run if there is one.

    With a correction feed (``receipt.changes`` is not None) it lists the change records of all tries, those of a try
    that was killed before its receipt among them.

    :returns: its path, relative to the destination.
    :raises CleverLandingError: if the destination does not take it.
    """
    if receipt.changes is not None:
        receipt = replace(receipt, changes=_all_changes(destination, receipt))

    def next_data(data: bytes | None) -> bytes:
        known = _read(receipt.path, data, receipt.district_id) if data else None
        return gzipped_json((unite(known, receipt) if known else receipt).to_json())

    destination.objects.update(receipt.path, next_data)
    return receipt.path


def _all_changes(destination: "Destination", receipt: Receipt) -> tuple[str, ...]:
    current = {
        (school_id, day): content_hash
        for school_id, school in receipt.schools.items()
        for day, content_hash in (
            school.unchanged | {day: partition.content_hash for day, partition in school.written.items()}
        ).items()
    }
    found = changes.records(destination.objects, receipt.district_id, receipt.idempotency_key)
    return tuple(sorted({*(receipt.changes or ()), *(record.path for record in changes.in_effect(found, current))}))


def read_receipts(
    fs: "AbstractFileSystem", root: str, district_id: str, *, damaged: list[str] | None = None
) -> Iterator[Receipt]:
    """All receipts of a district, one at a time, in no promised order; compare ``finished_at``.

    :param damaged: collects the paths of receipts that cannot be read; None: the first one raises.
    :raises CleverLandingError: if the destination cannot be read.
    """
    objects = layout.objects_at(fs, root, single_writer=True)
    for month in objects.names(layout.our_path(district_id, "receipts")):
        for path in objects.names(month):
            try:
                found = objects.read(path)
                if found is None:
                    continue
                yield _read(path, found[0], district_id)
            except CleverLandingError:
                if damaged is None:
                    raise
                damaged.append(path)


def read_receipt(path: str, data: bytes, district_id: str) -> Receipt:
    """The receipt that stands at a path.

    :param path: relative to the destination.
    :param district_id: the district whose folder it lies in.
    :raises ValueError: it cannot be read, or speaks of another district or another run than its path does.
    """
    receipt = Receipt.from_json(read_gzipped_json(data))
    receipt.check()
    try:
        own_path = receipt.path
    except CleverError:
        msg = "it names no work that could have a receipt"
        raise ValueError(msg) from None
    if receipt.district_id != district_id:
        msg = f"it speaks of district {receipt.district_id}: somebody copied it"
        raise ValueError(msg)
    if own_path != path:
        msg = f"it belongs at {own_path}: somebody copied or moved it"
        raise ValueError(msg)
    return receipt


def _read(path: str, data: bytes, district_id: str) -> Receipt:
    try:
        return read_receipt(path, data, district_id)
    except ValueError as error:
        msg = f"receipt {path} cannot be used: {error}. Restore it, or move it away and pull its days again"
        raise CleverLandingError(msg) from None
