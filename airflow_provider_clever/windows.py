"""Decides which attendance dates a run is about, from the run's facts and never from the clock. No I/O."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from airflow_provider_clever.exceptions import CleverSettingsError

BACKFILL: Final = "backfill"

# Clever drops a day six months after its date (clever-api.md 3.6), so looking back further finds nothing.
LONGEST_LOOKBACK_DAYS: Final = 366

YEARS: Final = range(2000, 2200)
"""A year outside is a mistake, such as an end at 9999-12-31, and calendars end there, too."""

_NOT_GIVEN: Final = frozenset({"", "None"})
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# CronPartitionTimetable writes the local time as well, unless its key_format says otherwise.
_DATED_KEY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}:\d{2})?", re.ASCII)


class WindowSource(StrEnum):
    """Where a run's dates come from."""

    ARGUMENTS = "arguments"
    PARAMS = "params"
    PARTITION_KEY = "partition key"
    ASSET_EVENTS = "asset events"
    DATA_INTERVAL = "data interval"
    LOGICAL_DATE = "logical date"
    RUN_AFTER = "moment for which the run was made; it has no logical date"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run says about itself.

    :param timezone: the zone of the DAG's schedule; it decides which calendar date an instant falls on.
    :param params: the run's params, with what its conf overrides.
    :param partition_key: the run's partition key, if it has one.
    :param asset_events: the payloads of the asset events that started the run, of any district.
    :param data_interval_start: start of the data interval, if the run has one.
    :param data_interval_end: its end, not part of it.
    :param logical_date: the logical date, if the run has one.
    :param run_after: the moment for which Airflow made the run; for one that was triggered, that of the trigger.
    :param run_type: Airflow's word for what started the run, such as ``"scheduled"`` or ``"backfill"``.
    """

    timezone: tzinfo = UTC
    params: Mapping[str, object] = field(default_factory=dict)
    partition_key: str | None = None
    asset_events: tuple[Mapping[str, object], ...] = ()
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    logical_date: datetime | None = None
    run_after: datetime | None = None
    run_type: str = "manual"


@dataclass(frozen=True, slots=True)
class DateWindow:
    """A range of attendance dates, both ends included.

    :param start: the first date, with the lookback.
    :param end: the last date.
    :param source: where these dates come from.
    :param lookback_days: by how many days ``start`` was moved back for late uploads and corrections.
    """

    start: date
    end: date
    source: WindowSource
    lookback_days: int = 0

    def __str__(self) -> str:
        lookback = f", {self.lookback_days} days of lookback included" if self.lookback_days else ""
        return f"{self.start} to {self.end} (from the {self.source}{lookback})"


def run_window(
    facts: RunFacts,
    *,
    date_range_start: object = None,
    date_range_end: object = None,
    lookback_days: int = 0,
    district_id: str | None = None,
) -> DateWindow:
    """Give the dates that a run is about.

    The first of these that the run has: the two arguments; the params of the same names; a partition key that is a
    date; asset events of this district, from the previous sync to the new one; every date that the data interval
    touches; the logical date; the moment for which the run was made (``run_after``), which a run triggered without a
    logical date still has. An empty string and ``"None"`` count as not given.

    :param facts: what the run says about itself.
    :param date_range_start: the first date, ``YYYY-MM-DD`` or a date. Default None.
    :param date_range_end: the last date, included. Default None.
    :param lookback_days: days before the run's own window to include. Default 0. Dates that a person stated
        (arguments, params) and backfill runs are left as they are.
    :param district_id: whose asset events count. Default None: those of the only district that sent any.
    :raises CleverSettingsError: a date is missing, is no date or lies after the end; or nothing told the run its dates.
    """
    if type(lookback_days) is not int or not 0 <= lookback_days <= LONGEST_LOOKBACK_DAYS:
        raise CleverSettingsError(
            f"lookback_days must be a whole number of days from 0 to {LONGEST_LOOKBACK_DAYS}, "
            f"not {_shown(lookback_days)}."
        )
    stated = _stated(date_range_start, date_range_end, WindowSource.ARGUMENTS) or _stated(
        facts.params.get("date_range_start"), facts.params.get("date_range_end"), WindowSource.PARAMS
    )
    if stated:
        return stated
    own = _own_window(facts, district_id)
    if facts.run_type == BACKFILL or not lookback_days:
        return own
    return DateWindow(own.start - timedelta(days=lookback_days), own.end, own.source, lookback_days)


def _own_window(facts: RunFacts, district_id: str | None) -> DateWindow:
    own = _keyed(facts) or _synced(facts, district_id) or _scheduled(facts)
    if own is None:
        raise CleverSettingsError(
            "This run has no data interval, no logical date, no moment for which it was made, no partition key that is "
            "a date (YYYY-MM-DD) and no sync event of this district, so nothing says which attendance dates it is "
            "about. Set date_range_start and date_range_end, as arguments of the task or as params of the run."
        )
    return own


def _stated(start: object, end: object, source: WindowSource) -> DateWindow | None:
    given = {"date_range_start": start, "date_range_end": end}
    dates = {name: _date(name, value, source) for name, value in given.items() if not _is_blank(value)}
    if not dates:
        return None
    for name in given:
        if name not in dates:
            raise CleverSettingsError(
                f"{name} is missing while its counterpart is set (in the {source}). Set both dates, or neither to "
                "let the run's own dates decide."
            )
    window = DateWindow(dates["date_range_start"], dates["date_range_end"], source)
    if window.start > window.end:
        raise CleverSettingsError(
            f"date_range_start {window.start} lies after date_range_end {window.end} (in the {source}). Swap them."
        )
    return window


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in _NOT_GIVEN)


def _date(name: str, value: object, source: WindowSource) -> date:
    if isinstance(value, datetime):
        raise CleverSettingsError(
            f"{name} is a moment, not a date (in the {source}). Give the date that you mean, as YYYY-MM-DD."
        )
    if isinstance(value, date):
        return _of_our_time(name, value, source)
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        with suppress(ValueError):
            return _of_our_time(name, date.fromisoformat(value), source)
    raise CleverSettingsError(f"{name} is {_shown(value)}, no date (in the {source}). Write it as YYYY-MM-DD.")


def _of_our_time(name: str, day: date, source: WindowSource) -> date:
    if day.year not in YEARS:
        raise CleverSettingsError(
            f"{name} is {day}, which lies outside of {YEARS[0]} to {YEARS[-1]} (in the {source}). Write the last day "
            "that you mean; a run asks for days that have come."
        )
    return day


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _keyed(facts: RunFacts) -> DateWindow | None:
    match = _DATED_KEY.fullmatch(facts.partition_key or "")
    if match is None:
        return None
    try:
        day = date.fromisoformat(match[1])
    except ValueError:
        return None
    return DateWindow(day, day, WindowSource.PARTITION_KEY) if day.year in YEARS else None


def _synced(facts: RunFacts, district_id: str | None) -> DateWindow | None:
    events = [event for event in facts.asset_events if isinstance(event.get("district_id"), str)]
    districts = {event["district_id"] for event in events}
    if district_id is None and len(districts) > 1:
        raise CleverSettingsError(
            f"Sync events of {len(districts)} districts started this run and the task names none. Set its district_id."
        )
    syncs = [sync for event in events if district_id in {None, event["district_id"]} for sync in _syncs(event)]
    if not syncs:
        return None
    return DateWindow(
        _local_date(min(syncs), facts.timezone), _local_date(max(syncs), facts.timezone), WindowSource.ASSET_EVENTS
    )


def _syncs(event: Mapping[str, object]) -> Iterable[datetime]:
    yield _instant(event.get("last_attendance_sync"))
    if not _is_blank(event.get("previous")):  # the first sync that was ever seen has no predecessor
        yield _instant(event["previous"])


def _instant(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        raise CleverSettingsError(
            f"A sync event of this district says {_shown(value)} where a moment with its zone belongs, such as "
            "2026-01-05T03:04:05Z. Set date_range_start and date_range_end for this run, and fix what sent the event."
        )
    return moment


def _scheduled(facts: RunFacts) -> DateWindow | None:
    start, end = facts.data_interval_start, facts.data_interval_end
    if start is not None and end is not None:
        # The end is no part of the interval, but plain cron's interval is one instant wide and is that instant. Step
        # back in UTC: aware datetimes of one zone subtract wall clocks, which errs in the hour of a clock change.
        last = max(start.astimezone(UTC), end.astimezone(UTC) - timedelta(microseconds=1))
        return DateWindow(
            _local_date(start, facts.timezone), _local_date(last, facts.timezone), WindowSource.DATA_INTERVAL
        )
    for moment, source in (
        (facts.logical_date, WindowSource.LOGICAL_DATE),
        (facts.run_after, WindowSource.RUN_AFTER),
    ):
        if moment is not None:
            day = _local_date(moment, facts.timezone)
            return DateWindow(day, day, source)
    return None


def _local_date(moment: datetime, zone: tzinfo) -> date:
    return moment.astimezone(zone).date()
