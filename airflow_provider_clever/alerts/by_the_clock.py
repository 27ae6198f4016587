"""Judges the causes that the passing of time brings about: not in by a time of day, days about to be lost. No I/O."""

from typing import Final

from airflow_provider_clever.alerts.decision import CauseState
from airflow_provider_clever.alerts.district_facts import DistrictFacts, day_text, days_text, listed, schools_text
from airflow_provider_clever.alerts.expectation import Expected, expected
from airflow_provider_clever.dates import LAST_CHANCE_DAYS, days_to_expiry
from airflow_provider_clever.ledger.day_covers import NEVER_SYNCED
from airflow_provider_clever.ledger.reporting import at_risk

EXPIRY_STEPS: Final = (3, 7, LAST_CHANCE_DAYS)
"""How many days before a day is lost an alert is due."""

_HOURS_AND_MINUTES: Final = "%H:%M"


def _expected(facts: DistrictFacts) -> Expected | None:
    if facts.expected_by is None:
        return None
    return expected(facts.now, facts.expected_by, facts.zone, facts.weekdays)


def _awaited_schools(facts: DistrictFacts, awaited: Expected) -> tuple[set[str], set[str]]:
    """Give the schools whose day was expected, and those whose day is not in."""
    deadline = awaited.deadline.astimezone(facts.zone).date()
    schools = {
        school_id: school
        for school_id, school in facts.asked_schools.items()
        if school.first_seen is None or school.first_seen <= deadline
    }
    with_rows = facts.landed.get(awaited.day, ())
    late = {
        school_id
        for school_id, school in schools.items()
        if not awaited.is_in(school, facts.zone, has_rows=school_id in with_rows)
    }
    return {*schools}, late


def not_in(facts: DistrictFacts) -> CauseState | None:
    """Say whether no school of the district is in. None: nothing is expected of it yet."""
    awaited = _expected(facts)
    if awaited is None:
        return None
    time_text = f"{facts.expected_by:{_HOURS_AND_MINUTES}}"
    if not facts.coverage.schools:
        return _nothing_yet(time_text) if facts.known_before_today else None
    schools, late = _awaited_schools(facts, awaited)
    if not schools:
        return None
    if late != schools:
        return CauseState(title="is in", what=f"Attendance of {day_text(awaited.day)} has landed.")
    _, last_sync = facts.coverage.last_sync
    uploaded = "never" if last_sync == NEVER_SYNCED else f"at {last_sync[:16].replace('T', ' ')} UTC"
    is_pulled = any(school.days.get(awaited.day) for school in facts.asked_schools.values())
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


def schools_not_in(facts: DistrictFacts) -> CauseState | None:
    """Find the schools that are not in, if others are."""
    awaited = _expected(facts)
    if awaited is None or not facts.coverage.schools:
        return None
    schools, late = _awaited_schools(facts, awaited)
    if late and late == schools:
        return None  # not_in() reports the whole district
    if not late:
        return CauseState(title="all schools are in", what=f"Attendance of {day_text(awaited.day)} has landed.")
    names = facts.names(late)
    return CauseState(
        members=frozenset(late),
        title=f"{len(late)} of {schools_text(len(schools))} not in by {facts.expected_by:{_HOURS_AND_MINUTES}}",
        what=f"Attendance of {day_text(awaited.day)} has not landed for {listed(names)}.",
        next_step="look at the latest run of the district's DAG; the next one asks again by itself.",
        schools=names,
    )


def expiring(facts: DistrictFacts) -> CauseState | None:
    """Find the uncovered days that Clever deletes soon."""
    if not facts.coverage.schools:
        return None
    found = at_risk(facts.coverage, facts.today)
    lost = sum(span.days for school in facts.coverage.shared_schools().values() for span in school.lost(facts.today))
    if not found:
        note = f" {lost} days of schools were lost." if lost else ""
        return CauseState(title="no days are about to be lost any more", what=f"What was open has been pulled.{note}")
    left = {one.school_id: days_to_expiry(one.spans[0].first, facts.today) for one in found}
    names = facts.names(left)
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
