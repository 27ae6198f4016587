"""Reads receipts for the coverage page: the pulls that asked for a day, and one pull."""

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.receipt_files import read_receipts
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.pull.side_by_side import side_by_side
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.syncs import moment_text

SIDE_BY_SIDE: Final = 32
"""How many objects are read at once: a page waits for a store, not for a processor."""

MOST_RECEIPTS: Final = 400
"""How many receipts one view reads, the newest first; two tasks a night leave as many in half a year."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A pull that asked for a day of a school.

    :param words: its outcome.
    :param path: of its receipt, relative to the destination.
    """

    finished_at: str
    words: str
    path: str
    receipt: Receipt


def visits_of(receipts: Iterable[Receipt], school_id: str, day: date) -> list[Visit]:
    """Find the pulls that asked for a day of a school, the newest first."""
    found = []
    for receipt in receipts:
        asked, school = receipt.asked, receipt.schools.get(school_id)
        if day not in asked.days or (school is None and school_id not in (asked.school_ids or ())):
            continue
        found.append(Visit(receipt.finished_at, _outcome(receipt, school_id, day), receipt.path, receipt))
    return sorted(found, key=lambda visit: visit.finished_at, reverse=True)


def _outcome(receipt: Receipt, school_id: str, day: date) -> str:
    school = receipt.schools.get(school_id)
    if school is None:
        return "it did not get to this school"
    text = day.isoformat()
    if text in school.written:
        written = school.written[text]
        counts = ", ".join(f"{count:,} {name}" for name, count in written.counts.items() if count)
        return f"{written.rows:,} rows landed" + (f" ({counts})" if counts else "")
    if text in school.unchanged:
        return "nothing had changed"
    if any(day in span for span in school.covered):
        return "Clever had no rows"
    if school.withheld is not None:
        return f"withheld: {school.withheld}"
    return school.error or {"gone": "the district no longer shared the school"}.get(school.state, "it was not covered")


@dataclass(frozen=True, slots=True)
class Visits:
    """The pulls that asked for a day of a school.

    :param is_cut: whether older receipts were left unread.
    """

    found: list[Visit]
    is_cut: bool


def day_visits(objects: Objects, district_id: str, school_id: str, day: date) -> Visits:
    """Read the pulls that asked for a day of a school, the newest first.

    :raises CleverError: the destination cannot be read.
    """
    paths = _receipt_paths(objects, district_id, day.strftime("%Y-%m"))
    receipts = _read(objects, district_id, paths[:MOST_RECEIPTS])
    return Visits(visits_of(receipts, school_id, day), len(paths) > MOST_RECEIPTS)


def receipt_at(objects: Objects, district_id: str, month: str, name: str) -> Receipt | None:
    """Read the receipt of a pull. None: there is none that can be read.

    :param month: the folder that it is in, ``YYYY-MM``.
    :param name: of its file, without its ending.
    :raises CleverError: the destination cannot be read.
    """
    if not (re.fullmatch(r"\d{4}-\d\d", month) and re.fullmatch(r"[\w-]+", name)):
        return None
    path = layout.our_path(district_id, "receipts", month, f"{name}.json.gz")
    return next(iter(_read(objects, district_id, [path])), None)


def receipts_since(objects: Objects, district_id: str, since: datetime) -> list[Receipt]:
    """Read a district's receipts since a moment; if there are many, the newest of them.

    :raises CleverError: the destination cannot be read.
    """
    oldest = moment_text(since)
    paths = _receipt_paths(objects, district_id, since.strftime("%Y-%m"))[:MOST_RECEIPTS]
    return [receipt for receipt in _read(objects, district_id, paths) if receipt.finished_at >= oldest]


def _receipt_paths(objects: Objects, district_id: str, first_month: str) -> list[str]:
    """List the receipts since a month, the newest month first."""
    folders = [
        folder
        for folder in objects.names(layout.our_path(district_id, "receipts"))
        if folder.rstrip("/").rpartition("/")[2] >= first_month
    ]
    return [path for folder in sorted(folders, reverse=True) for path in objects.names(folder)]


def _read(objects: Objects, district_id: str, paths: Sequence[str]) -> list[Receipt]:
    """Read receipts, several at a time; a damaged one is left out, as coverage does."""
    receipts: list[Receipt] = []

    def read(path: str) -> None:
        receipts.extend(read_receipts(objects, district_id, [path], damaged=lambda *_: None))

    side_by_side(read, paths, most=SIDE_BY_SIDE, stop=threading.Event())
    return receipts
