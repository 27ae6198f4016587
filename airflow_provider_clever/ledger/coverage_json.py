"""Writes and reads coverage.json: compact, and the same text for the same coverage. No I/O."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import DateRange, date_from_text
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import FORGOTTEN, Cover, DayCovers, Stretch
from airflow_provider_clever.ledger.receipt_facts import RowCounts, WithheldDays
from airflow_provider_clever.syncs import moment_text

SCHEMA_VERSION: Final = 2


class CoverageFormatError(Exception):
    """The text is not a coverage.json that this version can read."""


class NewerCoverageError(CoverageFormatError):
    """A newer version of this package wrote it."""


@dataclass(frozen=True, slots=True)
class FoldedMonth:
    """The receipts of one month's folder that coverage includes.

    :param names: what each of them counted, by name; None once the month is old and only sums are kept.
    :param count: how many there are.
    :param counts: what they counted.
    """

    names: Mapping[str, RowCounts] | None
    count: int
    counts: RowCounts

    @classmethod
    def of(cls, names: Mapping[str, RowCounts]) -> "FoldedMonth":
        """A month whose receipts are known by name."""
        return cls(dict(names), len(names), RowCounts.sum(names.values()))


@dataclass(slots=True)
class CoverageFile:
    """The content of coverage.json.

    :param receipts: the receipts that are included, by month.
    """

    coverage: Coverage
    receipts: dict[str, FoldedMonth] = field(default_factory=dict)

    @property
    def counts(self) -> RowCounts:
        """What all receipts counted together."""
        return RowCounts.sum(month.counts for month in self.receipts.values())


def to_json(file: CoverageFile) -> bytes:
    """Write the file's text."""
    coverage = file.coverage
    histories = _histories(coverage)
    covers = sorted({one.cover for history in histories for one in history})
    numbers = {cover: number for number, cover in enumerate(covers)}
    document = {
        "schema_version": SCHEMA_VERSION,
        "district_id": coverage.district_id,
        "timezone": coverage.timezone,
        "watermark": coverage.watermark,
        "last_sync": list(coverage.last_sync),
        "listed_on": _text(coverage.listed_on),
        "newest_day": _text(coverage.newest_day),
        "covers": [list(cover) for cover in covers],
        "histories": [[[*one.days.to_json(), numbers[one.cover]] for one in history] for history in histories],
        "schools": {school_id: _school(school, histories) for school_id, school in sorted(coverage.schools.items())},
        "receipts": {month: _month(folded) for month, folded in sorted(file.receipts.items())},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def from_json(data: bytes) -> CoverageFile:
    """Read the file's text.

    :raises NewerCoverageError: a newer version of this package wrote it.
    :raises CoverageFormatError: it is damaged.
    """
    try:
        document = json.loads(data)
        if document["schema_version"] <= SCHEMA_VERSION:
            return _file(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise CoverageFormatError("it is damaged") from None
    raise NewerCoverageError(f"it has schema version {document['schema_version']}, this package reads {SCHEMA_VERSION}")


def _school(school: SchoolCoverage, histories: Mapping[DayCovers, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": school.name,
        "named_at": school.named_at,
        "first_seen": _text(school.first_seen),
        "listed_on": _text(school.listed_on),
        "unlisted_on": _text(school.unlisted_on),
        "landed_at": school.landed_at,
        "failed_at": school.failed_at,
        "failure": school.failure,
        "rows_per_weekday": school.rows_per_weekday,
        "measured_at": school.measured_at,
        "covered": histories[school.proven],
        "found_bare": histories[school.bare] if school.bare else None,
        "bare_since": school.bare_since,
        "rows_since": school.rows_since,
        "withheld": _withheld(school.withheld),
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _histories(coverage: Coverage) -> dict[DayCovers, int]:
    """A number for each history, in the order of the schools that have it."""
    found: dict[DayCovers, int] = {}
    for _, school in sorted(coverage.schools.items()):
        for history in (school.proven, school.bare):
            found.setdefault(history, len(found))
    return found


def _withheld(found: WithheldDays | None) -> list[Any] | None:
    return found and [*found[:-1], [days.to_json() for days in found.days]]


def _month(folded: FoldedMonth) -> dict[str, Any]:
    if folded.names is None:
        return {"count": folded.count, "tally": list(folded.counts)}
    return {"names": {name: list(counts) for name, counts in sorted(folded.names.items())}}


def _file(document: Mapping[str, Any]) -> CoverageFile:
    covers = [Cover(bool(settled), _moment(at), _moment(sync)) for settled, at, sync in document["covers"]]
    if not all(cover.pulled_at or cover == FORGOTTEN for cover in covers):
        raise ValueError("a pull without an end")
    histories = _Histories(covers, document.get("histories", ()))
    pulled_at, sync = document["last_sync"]
    listed_on = _date(document["listed_on"])
    coverage = Coverage(
        district_id=str(document["district_id"]),
        timezone=str(document["timezone"]),
        schools={
            school_id: _read_school(facts, histories, listed_on) for school_id, facts in document["schools"].items()
        },
        listed_on=listed_on,
        newest_day=_date(document["newest_day"]),
        last_sync=(_moment(pulled_at), _moment(sync)),
        watermark=_moment(document["watermark"] or "") or None,
    )
    coverage.prove()
    return CoverageFile(coverage, {month: _read_month(facts) for month, facts in document["receipts"].items()})


def _read_school(facts: Mapping[str, Any], histories: "_Histories", listed_on: date | None) -> SchoolCoverage:
    rows = facts.get("rows_per_weekday")
    school_listed_on = _date(facts.get("listed_on"))
    unlisted_on = _date(facts.get("unlisted_on"))
    if unlisted_on is None and school_listed_on and listed_on and school_listed_on < listed_on:
        unlisted_on = listed_on  # version 0.1.0 wrote no such field: all we know is that the newest list left it out
    return SchoolCoverage(
        name=_words(facts.get("name", "")),
        named_at=_words(facts.get("named_at", "")),
        first_seen=_date(facts.get("first_seen")),
        listed_on=school_listed_on,
        unlisted_on=unlisted_on,
        proven=histories[facts["covered"]],
        bare=histories[facts.get("found_bare", ())],
        bare_since=_moment(facts.get("bare_since", "")),
        rows_since=_moment(facts.get("rows_since", "")),
        withheld=_read_withheld(facts.get("withheld")),
        landed_at=_moment(facts.get("landed_at", "")),
        failed_at=_moment(facts.get("failed_at", "")),
        failure=_words(facts.get("failure", "")),
        rows_per_weekday=None if rows is None else _rows(rows),
        measured_at=_moment(facts.get("measured_at", "")),
    )


class _Histories:
    """Reads histories: by their number, or written out in a file of schema version 1.

    :param covers: the pulls that they name by number.
    """

    def __init__(self, covers: list[Cover], numbered: Iterable[Any]) -> None:
        self._covers = covers
        self._known: dict[object, DayCovers] = {}
        self._numbered = [self[one] for one in numbered]

    def __getitem__(self, found: Any) -> DayCovers:
        if isinstance(found, int):
            return self._numbered[range(len(self._numbered)).index(found)]
        stretches = tuple((first, last, number) for first, last, number in found)
        if stretches not in self._known:
            self._known[stretches] = DayCovers(
                Stretch(_day(first), _day(last), self._covers[range(len(self._covers)).index(number)])
                for first, last, number in stretches
            )
        return self._known[stretches]


def _read_withheld(facts: Any) -> WithheldDays | None:
    if facts is None:
        return None
    at, rows, of, since, spans = facts
    return WithheldDays(_moment(at), int(rows), int(of), _moment(since), tuple(_span(*ends) for ends in spans))


def _read_month(facts: Mapping[str, Any]) -> FoldedMonth:
    if "names" in facts:
        return FoldedMonth.of({name: RowCounts(*counts) for name, counts in facts["names"].items()})
    return FoldedMonth(None, int(facts["count"]), RowCounts(*facts["tally"]))


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: str | None) -> date | None:
    return _day(text) if text else None


def _span(first: object, last: object) -> DateRange:
    return DateRange(_day(first), _day(last))


def _day(text: object) -> date:
    day = date_from_text(text)
    if day.year not in _YEARS:
        raise ValueError("no day of our time")
    return day


@lru_cache(maxsize=4096)
def _moment(text: object) -> str:
    """An instant in its one spelling, so that comparing texts compares instants; or nothing."""
    if text == "":
        return ""
    moment = moment_from_text(text)
    if moment.year not in _YEARS:
        raise ValueError("no instant of our time")
    return moment_text(moment)


def _rows(number: object) -> float:
    rows = float(str(number))
    if not 0 <= rows < 10**9:
        raise ValueError("no number of rows")
    return rows


def _words(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("not text")
    return text


_YEARS: Final = range(1970, 2200)
"""No pull has written a day outside of these years, and calendars end there."""
