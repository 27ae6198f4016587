"""Finds out which alerts are due from what is at the destination, claims them, and notes which were sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, tzinfo
from typing import Final

from airflow_provider_clever.alerts.after_a_run import SILENCE_DAYS
from airflow_provider_clever.alerts.alerts_file import SentAlerts, read_sent_alerts, update_sent_alerts
from airflow_provider_clever.alerts.causes import BY_THE_CLOCK, cause_states
from airflow_provider_clever.alerts.decision import Cause, CauseState, Message, SentCauses, decide, settled
from airflow_provider_clever.alerts.district_facts import DistrictFacts
from airflow_provider_clever.dates import ONE_DAY, date_from_text
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.quarantine import first_seen_dates
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects

_AWAITED_DAYS: Final = 2
"""How many of the newest days with rows contain the one that is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInput:
    """What a task knows of a district when it sends alerts.

    :param coverage: which days of the district are covered.
    :param now: the present moment, with its zone.
    :param zone: the district's.
    :param expected_by: the time of day by which it is to be in; None: there is none.
    :param receipts: those of the run's pulls; None: no run has just recorded, so only the causes of the clock count.
    :param is_whole: whether the run was to pull everything that is due. Default True.
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
    """Messages that this process has claimed, by the notifier that sends them.

    :param name: the district's name; empty: not known.
    :param in_quarantine: how many rows are in quarantine, to be noted once that was sent; None: they were not counted.
    """

    name: str
    by_notifier: Mapping[str, Sequence[Message]]
    in_quarantine: int | None = None


def claim_messages(objects: Objects, given: AlertInput, notifiers: Collection[str], *, by: str) -> DueMessages:
    """Find out which messages are due, and claim them, so that no other process sends them at the same time.

    :param notifiers: their names.
    :param by: the name of this process; a retry of a task has the same.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    district_id = given.coverage.district_id
    before = read_sent_alerts(objects, district_id)
    in_quarantine, newly_quarantined = _quarantined(objects, given, before)
    states = _states(objects, given, before, newly_quarantined)
    due: dict[str, list[Message]] = {}

    def claimed(alerts: SentAlerts) -> SentAlerts:
        noted = dict(alerts.notifiers)
        for name in notifiers:
            due[name], noted[name] = decide(noted.get(name, {}), states, by=by, now=given.now)
        is_counted = in_quarantine is not None and not (newly_quarantined and _is_claimed(noted, Cause.QUARANTINE))
        return replace(
            alerts,
            name=given.name or alerts.name,
            watched_since=alerts.watched_since or given.today,
            notifiers={name: causes for name, causes in noted.items() if causes},
            quarantined=in_quarantine if is_counted else alerts.quarantined,
        )

    update_sent_alerts(objects, district_id, claimed)
    return DueMessages(given.name or before.name, due, in_quarantine)


def _is_claimed(noted: Mapping[str, SentCauses], cause: Cause) -> bool:
    return any(cause in causes and causes[cause].claim for causes in noted.values())


def note_sent(
    objects: Objects, district_id: str, due: DueMessages, sent: Mapping[tuple[str, Cause], bool], *, by: str
) -> None:
    """Note which messages were sent; the others are due again the next time.

    :param sent: whether each message was sent, by notifier and cause.
    :raises CleverLandingError: it cannot be written; then the messages are sent again when their claims expire.
    """

    def noted(alerts: SentAlerts) -> SentAlerts:
        notifiers = dict(alerts.notifiers)
        for (name, cause), was_sent in sent.items():
            notifiers[name] = settled(notifiers.get(name, {}), cause, by=by, was_sent=was_sent)
        of_quarantine = [was_sent for (_, cause), was_sent in sent.items() if cause is Cause.QUARANTINE]
        all_sent = bool(of_quarantine) and all(of_quarantine)
        return replace(
            alerts,
            notifiers={name: causes for name, causes in notifiers.items() if causes},
            quarantined=due.in_quarantine if all_sent else alerts.quarantined,
        )

    if sent:
        update_sent_alerts(objects, district_id, noted)


def _states(
    objects: Objects, given: AlertInput, before: SentAlerts, newly_quarantined: int | None
) -> dict[Cause, CauseState]:
    days = _days_with_rows(objects, given.coverage.district_id)
    is_after_run = given.receipts is not None
    # The causes of the clock need the newest school day only.
    most = SILENCE_DAYS if is_after_run else _AWAITED_DAYS
    newest = [day for day in sorted(days, reverse=True) if day.isoformat() < given.today][:most]
    facts = DistrictFacts(
        coverage=given.coverage,
        now=given.now,
        zone=given.zone,
        expected_by=given.expected_by,
        days_with_rows=days,
        landed=dict(zip(newest, in_order(lambda day: _schools_of(objects, days[day]), newest), strict=True)),
        already_sent={cause: before.members_sent(cause) for cause in Cause},
        newly_quarantined=newly_quarantined,
        known_before_today=bool(before.watched_since) and before.watched_since < given.today,
    )
    return cause_states(facts, Cause if is_after_run else BY_THE_CLOCK)


def _days_with_rows(objects: Objects, district_id: str) -> dict[date, str]:
    """Give the days on which any school has landed rows, and the folder of each."""
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


def _quarantined(objects: Objects, given: AlertInput, before: SentAlerts) -> tuple[int | None, int | None]:
    """Count the rows in quarantine, and those of them that no alert has counted. None: they were not counted."""
    if not given.receipts:
        return None, None
    if not any(receipt.totals.get("quarantined") for receipt in given.receipts):
        return None, 0 if given.is_whole else None
    dates = first_seen_dates(objects, given.coverage.district_id)
    # The first time, what was there before yesterday is no growth; workers name days as UTC does.
    yesterday = (date.fromisoformat(given.today) - ONE_DAY).isoformat()
    counted = before.quarantined if before.quarantined is not None else sum(seen < yesterday for seen in dates)
    return len(dates), max(0, len(dates) - counted)
