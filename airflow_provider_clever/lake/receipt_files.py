"""Writes receipts to a destination, joined with those of earlier tries, and reads them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from airflow_provider_clever.exceptions import CleverError, CleverLandingError
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.lake.tries import changed_days, unite
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects


def write_receipt(objects: Objects, receipt: Receipt) -> Receipt:
    """Write a receipt, joined with that of an earlier try of the same run if there is one.

    With a correction feed (``receipt.changes`` is not None) it lists the change records of all tries, those of a try
    that was killed before its receipt among them.

    :param objects: the destination.
    :returns: the receipt as it was written.
    :raises CleverLandingError: the destination cannot be written.
    """
    stands = receipt
    if receipt.changes is not None:
        receipt = replace(receipt, changes=_all_changes(objects, receipt))

    def next_data(data: bytes | None) -> bytes:
        try:
            known = _parsed(receipt.path, data, receipt.district_id) if data else None
        except ValueError as error:
            raise _unusable(receipt.path, error) from None
        nonlocal stands
        ours = replace(receipt, changed_days=changed_days(known, receipt))
        stands = unite(known, ours) if known else ours
        return gzipped_json(stands.to_json())

    objects.update(receipt.path, next_data)
    return stands


def _all_changes(objects: Objects, receipt: Receipt) -> tuple[str, ...]:
    current = {
        (school_id, day): content_hash
        for school_id, school in receipt.schools.items()
        for day, content_hash in (
            school.unchanged | {day: partition.content_hash for day, partition in school.written.items()}
        ).items()
    }
    found = changes.records(objects, receipt.district_id, receipt.idempotency_key)
    return tuple(sorted({*(receipt.changes or ()), *(record.path for record in changes.in_effect(found, current))}))


def receipt_paths(objects: Objects, district_id: str) -> Iterator[str]:
    """List the paths of all receipts of a district, month by month.

    :raises CleverLandingError: if the destination cannot be read.
    """
    for month in objects.names(layout.our_path(district_id, "receipts")):
        yield from objects.names(month)


def read_receipts(
    objects: Objects,
    district_id: str,
    paths: Iterable[str] | None = None,
    *,
    damaged: Callable[[str, Exception], object] | None = None,
) -> Iterator[Receipt]:
    """Read the receipts of a district, one at a time; a few are read ahead.

    :param objects: the destination.
    :param paths: relative to the destination; a path without an object is left out. Default: all of the district's.
    :param damaged: is given the path of each receipt that cannot be used, and why. Default: the first one raises.
    :raises CleverLandingError: if a receipt cannot be used.
    """

    def read(path: str) -> tuple[str, Receipt | Exception | None]:
        try:
            found = objects.read(path)
            return path, found and _parsed(path, found[0], district_id)
        except (ValueError, CleverLandingError) as error:
            return path, error

    for path, receipt in in_order(read, receipt_paths(objects, district_id) if paths is None else paths):
        if isinstance(receipt, Receipt):
            yield receipt
        elif receipt is not None and damaged is None:
            raise _unusable(path, receipt) from None
        elif receipt is not None and damaged is not None:
            damaged(path, receipt)


def _parsed(path: str, data: bytes, district_id: str) -> Receipt:
    """Parse the receipt at a path, if it is about the district and the run that the path names.

    :raises ValueError: it cannot be used.
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


def _unusable(path: str, error: Exception) -> CleverLandingError:
    if isinstance(error, CleverLandingError):  # the store does not give it
        return error
    return CleverLandingError(
        f"receipt {path} cannot be used: {error}. Restore it, or move it away and pull its days again"
    )
