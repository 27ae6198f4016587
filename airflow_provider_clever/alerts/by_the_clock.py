"""The causes that come about by time passing alone: not in by a time of day, about to be lost. Pure."""

from typing import Final

from airflow_provider_clever.alerts.decision import CauseState
from airflow_provider_clever.alerts.expectation import Expected, expected
from airflow_provider_clever.alerts.watched import Watched, day_text, days_text, listed, schools_text
from airflow_provider_clever.dates import LAST_CHANCE_DAYS, days_to_expiry
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED
from airflow_provider_clever.ledger.reporting import at_risk

EXPIRY_STEPS: Final = (3, 7, LAST_CHANCE_DAYS)
"""People are told so many days before a day is lost."""

_HOURS_AND_MINUTES: Final = "%H:%M"


def _expected(watched: Watched) -> Expected | None:
    if watched.expected_by is None:
        return None
    return expected(watched.now, watched.expected_by, watched.zone, watched.weekdays)


def _awaited_schools(watched: Watched, awaited: Expected) -> tuple[set[str], set[str]]:
    """The schools whose day was to be in, and those of them that are not."""
    deadline = awaited.deadline.astimezone(watched.zone).date()
    schools = {
        school_id: school
        for school_id, school in watched.asked_schools.items()
        if school.first_seen is None or school.first_seen <= deadline
    }
    with_rows = watched.landed.get(awaited.day, ())
    late = {
        school_id
        for school_id, school in schools.items()
        if not awaited.is_in(school, watched.zone, has_rows=school_id in with_rows)
    }
    return {*schools}, late


def not_in(watched: Watched) -> CauseState | None:
    """Whether no school of the district is in by now; None: nothing is expected of it yet."""
    awaited = _expected(watched)
    if awaited is None:
        return None
    time_text = f"{watched.expected_by:{_HOURS_AND_MINUTES}}"
    if not watched.coverage.schools:
        return _nothing_yet(time_text) if watched.known_before_today else None
    schools, late = _awaited_schools(watched, awaited)
    if not schools:
        return None
    if late != schools:
        return CauseState(title="is in", what=f"Attendance of {day_text(awaited.day)} has landed.")
    _, last_sync = watched.coverage.last_sync
    uploaded = "never" if last_sync == NEVER_SYNCED else f"at {last_sync[:16].replace('T', ' ')} UTC"
    is_pulled = any(school.days.get(awaited.day) for school in watched.asked_schools.values())
    return CauseState(
        members=frozenset({"district"}),
        title=f"not in by {time_text}",
        what=f"Nothing of {day_text(awaited.day)} has landed for {schools_text(len(late))}. As far as pulls have seen, "
        f"the district last uploaded {uploaded}.",
        next_step="ask the district for its upload; if there was no school, do nothing."
        if is_pulled
        else "look at the latest runs of the district's DAG: none has pulled that day. If the DAG is paused on "
        "purpose, pause the one that told you, too.",
    )


def _nothing_yet(time_text: str) -> CauseState:
    return CauseState(
        members=frozenset({"district"}),
        title=f"not in by {time_text}",
        what="Nothing of this district has landed yet.",
        next_step="look at the runs of its DAG, and see that it is not paused.",
    )


def schools_not_in(watched: Watched) -> CauseState | None:
    """Which of its schools are not in by now, if others are."""
    awaited = _expected(watched)
    if awaited is None or not watched.coverage.schools:
        return None
    schools, late = _awaited_schools(watched, awaited)
    if late and late == schools:
        return None  # that is told of the district
    if not late:
        return CauseState(title="all schools are in", what=f"Attendance of {day_text(awaited.day)} has landed.")
    names = watched.names(late)
    return CauseState(
        members=frozenset(late),
        title=f"{len(late)} of {schools_text(len(schools))} not in by {watched.expected_by:{_HOURS_AND_MINUTES}}",
        what=f"Attendance of {day_text(awaited.day)} has not landed for {listed(names)}.",
        next_step="look at the latest run of the district's DAG; the next one asks again by itself.",
        schools=names,
    )


def expiring(watched: Watched) -> CauseState | None:
    """Which days Clever forgets soon that no pull has covered."""
    if not watched.coverage.schools:
        return None
    found = at_risk(watched.coverage, watched.today)
    lost = sum(
        span.days for school in watched.coverage.shared_schools().values() for span in school.lost(watched.today)
    )
    if not found:
        note = f" {lost} days of schools were lost." if lost else ""
        return CauseState(title="no days are about to be lost any more", what=f"What was open has been pulled.{note}")
    left = {one.school_id: days_to_expiry(one.spans[0].first, watched.today) for one in found}
    names = watched.names(left)
    days = sum(span.days for one in found for span in one.spans)
    first = min(one.spans[0].first for one in found)
    return CauseState(
        members=frozenset(f"{id_}@{step}" for id_, rest in left.items() for step in EXPIRY_STEPS if rest <= step),
        title=f"days are lost in {days_text(min(left.values()))}",
        what=f"{days_text(days)} of schools, from {day_text(first)} on, were never pulled to the end, and Clever "
        f"forgets the first of them in {days_text(min(left.values()))}: {listed(names)}.",
        next_step="correct what keeps them from being pulled (the log of the latest run says what), then trigger the "
        "district's DAG by hand.",
        schools=names,
    )
