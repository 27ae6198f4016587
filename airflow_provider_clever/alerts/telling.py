"""What a district's people are to be told now: looks at the destination, claims the messages, notes which were sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, tzinfo
from typing import Final

from airflow_provider_clever.alerts.after_a_run import LOOKED_BACK_DAYS
from airflow_provider_clever.alerts.causes import BY_THE_CLOCK, cause_states
from airflow_provider_clever.alerts.decision import Cause, CauseState, Message, ToldCauses, decide, settled
from airflow_provider_clever.alerts.told_file import ToldDistrict, read_told, update_told
from airflow_provider_clever.alerts.watched import Watched
from airflow_provider_clever.dates import ONE_DAY, date_from_text
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.quarantine import first_seen_dates
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects

_AWAITED_DAYS: Final = 2
"""So many of the newest days with rows hold the one that was to be in by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """From what it follows who is to be told what.

    :param coverage: which days of the district are covered.
    :param now: the present moment, with its zone.
    :param zone: the district's.
    :param expected_by: the time of day by which it is to be in; None: at no time.
    :param receipts: those that the run's pulls left; None: no run has just recorded, so the clock alone is judged by.
    :param is_whole: whether the run was to pull all that is due. Default True.
    :param name: the district's name, if it is known.
    """

    coverage: Coverage
    now: datetime
    zone: tzinfo
    expected_by: time | None = None
    receipts: Sequence[Receipt] | None = None
    is_whole: bool = True
    name: str = ""

    @property
    def today(self) -> str:
        """The date in the district."""
        return self.now.astimezone(self.zone).date().isoformat()


@dataclass(frozen=True, slots=True)
class DueMessages:
    """Messages that this process has claimed, by the notifier that they are for.

    :param name: the district's name; empty: not known.
    :param in_quarantine: how many rows are in quarantine, to be noted once that was told; None: nobody counted.
    """

    name: str
    by_notifier: Mapping[str, Sequence[Message]]
    in_quarantine: int | None = None


def claim_messages(objects: Objects, look: Look, notifiers: Collection[str], *, by: str) -> DueMessages:
    """Find out what is to be told, and claim it, so that no other process sends it at the same time.

    :param notifiers: their names.
    :param by: the name of this process; a retry of a task has the same.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    district_id = look.coverage.district_id
    told = read_told(objects, district_id)
    in_quarantine, set_aside = _set_aside(objects, look, told)
    states = _states(objects, look, told, set_aside)
    due: dict[str, list[Message]] = {}

    def claimed(told: ToldDistrict) -> ToldDistrict:
        noted = dict(told.notifiers)
        for name in notifiers:
            due[name], noted[name] = decide(noted.get(name, {}), states, by=by, now=look.now)
        is_counted = in_quarantine is not None and not (set_aside and _is_being_told(noted, Cause.QUARANTINE))
        return replace(
            told,
            name=look.name or told.name,
            watched_since=told.watched_since or look.today,
            notifiers={name: causes for name, causes in noted.items() if causes},
            quarantined=in_quarantine if is_counted else told.quarantined,
        )

    update_told(objects, district_id, claimed)
    return DueMessages(look.name or told.name, due, in_quarantine)


def _is_being_told(noted: Mapping[str, ToldCauses], cause: Cause) -> bool:
    return any(cause in causes and causes[cause].claim for causes in noted.values())


def note_sent(
    objects: Objects, district_id: str, due: DueMessages, sent: Mapping[tuple[str, Cause], bool], *, by: str
) -> None:
    """Note which messages were sent; the others are due again the next time.

    :param sent: by notifier and cause.
    :raises CleverLandingError: it cannot be written; then they are sent again when their claims end.
    """

    def noted(told: ToldDistrict) -> ToldDistrict:
        notifiers = dict(told.notifiers)
        for (name, cause), was_sent in sent.items():
            notifiers[name] = settled(notifiers.get(name, {}), cause, by=by, was_sent=was_sent)
        of_quarantine = [was_sent for (_, cause), was_sent in sent.items() if cause is Cause.QUARANTINE]
        is_told = bool(of_quarantine) and all(of_quarantine)
        return replace(
            told,
            notifiers={name: causes for name, causes in notifiers.items() if causes},
            quarantined=due.in_quarantine if is_told else told.quarantined,
        )

    if sent:
        update_told(objects, district_id, noted)


def _states(objects: Objects, look: Look, told: ToldDistrict, set_aside: int | None) -> dict[Cause, CauseState]:
    district_id = look.coverage.district_id
    days = _days_with_rows(objects, district_id)
    is_after_run = look.receipts is not None
    # The clock is judged by with the newest school day alone.
    most = LOOKED_BACK_DAYS if is_after_run else _AWAITED_DAYS
    newest = [day for day in sorted(days, reverse=True) if day.isoformat() < look.today][:most]
    watched = Watched(
        coverage=look.coverage,
        now=look.now,
        zone=look.zone,
        expected_by=look.expected_by,
        days_with_rows=days,
        landed=dict(zip(newest, in_order(lambda day: _schools_of(objects, days[day]), newest), strict=True)),
        told={cause: told.told_of(cause) for cause in Cause},
        set_aside=set_aside,
        known_before_today=bool(told.watched_since) and told.watched_since < look.today,
    )
    return cause_states(watched, Cause if is_after_run else BY_THE_CLOCK)


def _days_with_rows(objects: Objects, district_id: str) -> dict[date, str]:
    """The days of which any school has landed rows, and where these stand."""
    found = {}
    for folder in objects.names(layout.landed_prefix(district_id)):
        try:
            day = date_from_text(folder.rpartition("/")[2].removeprefix("date="))
        except ValueError:
            continue
        found[day] = folder
    return found


def _schools_of(objects: Objects, folder: str) -> set[str]:
    names = map(layout.parse_partition_path, objects.names(folder))
    return {name.school_id for name in names if name is not None}


def _set_aside(objects: Objects, look: Look, told: ToldDistrict) -> tuple[int | None, int | None]:
    """How many rows are in quarantine, and how many of them have not been told of; None: nobody counted."""
    if not look.receipts:
        return None, None
    if not any(receipt.totals.get("quarantined") for receipt in look.receipts):
        return None, 0 if look.is_whole else None
    dates = first_seen_dates(objects, look.coverage.district_id)
    # The first time, what was there before yesterday is no growth; workers name days as UTC does.
    yesterday = (date.fromisoformat(look.today) - ONE_DAY).isoformat()
    before = told.quarantined if told.quarantined is not None else sum(seen < yesterday for seen in dates)
    return len(dates), max(0, len(dates) - before)
