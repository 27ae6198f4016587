"""Judges the causes that follow from what runs record: silence, coverage, withheld rows, quarantine. No I/O."""

from datetime import date
from typing import Final

from airflow_provider_clever.alerts.decision import Cause, CauseState
from airflow_provider_clever.alerts.district_facts import (
    DistrictFacts,
    day_text,
    listed,
    plural,
    schools_text,
    shortened,
)
from airflow_provider_clever.alerts.expectation import previous_school_day, pulled_on
from airflow_provider_clever.dates import ONE_DAY, DateRange, days_of, first_retained
from airflow_provider_clever.ledger.coverage import SchoolCoverage
from airflow_provider_clever.ledger.reporting import withheld_schools

SILENCE_DAYS: Final = 11
"""How many of the newest days with rows show whether a school is silent: two weeks of school and a day."""

_USUAL_DAYS: Final = 5
_MOST_SILENT_BEFORE: Final = 1
"""A school with rows on at least four of the previous five school days is expected to have some on the next one."""


def silent(facts: DistrictFacts) -> CauseState | None:
    """Find the schools without rows for the last school day, although they usually have some and other schools do."""
    shared = facts.asked_schools
    days = [
        day
        for day in sorted(facts.landed, reverse=True)
        if day < facts.today and 2 * len(shared.keys() & {*facts.landed[day]}) >= len(shared)
    ]
    if not days:
        return None
    day, before = days[0], days[1:]
    present = {*facts.landed[day]}
    silent = {
        school_id
        for school_id, school in shared.items()
        if school_id not in present
        and (
            school_id in facts.already_sent.get(Cause.SILENT, ())
            or _is_expected_to_have_rows(school_id, school, day, before, facts)
        )
    }
    if not silent:
        return CauseState(
            title="no school is silent any more",
            what=f"The schools that were have rows of {day_text(day)}, or are no longer shared.",
        )
    names = facts.names(silent)
    return CauseState(
        members=frozenset(silent),
        title=f"{schools_text(len(silent))} {plural(len(silent), 'is', 'are')} silent",
        what=f"{listed(names)}: no rows of {day_text(day)}, while {schools_text(len(shared.keys() & present))} of the "
        "district have some.",
        next_step="ask the district whether these schools had no school that day, or have stopped uploading.",
        schools=names,
    )


def _is_expected_to_have_rows(
    school_id: str, school: SchoolCoverage, day: date, before: list[date], facts: DistrictFacts
) -> bool:
    """Whether a school usually has rows, on this weekday too, and a pull has found none."""
    usual = before[:_USUAL_DAYS]
    days_with_rows = [one for one in usual if school_id in facts.landed[one]]
    same_weekday = next((one for one in before if one.weekday() == day.weekday()), None)
    return (
        len(usual) == _USUAL_DAYS
        and len(usual) - len(days_with_rows) <= _MOST_SILENT_BEFORE
        and (same_weekday is None or school_id in facts.landed[same_weekday])
        and (cover := school.days.get(day)) is not None
        and cover.is_settled
        and pulled_on(cover, facts.zone) > day
    )


def falling(facts: DistrictFacts) -> CauseState | None:
    """Find the schools whose latest school days are no longer covered."""
    schools = facts.asked_schools
    if not any(school.days for school in schools.values()):
        return None
    # The last school day does not count: a sync may have come during its pull, or one night may have failed. The next
    # night pulls it again.
    last = previous_school_day(facts.today, facts.weekdays) - ONE_DAY
    missed = {school_id: days for school_id, school in schools.items() if (days := _missed(school, last, facts))}
    if not missed:
        return CauseState(title="coverage is whole again", what="No school day that Clever still has is left open.")
    names = facts.names(missed)
    failing = next((one.failure for id_ in sorted(missed) if (one := schools[id_]).is_failing), "")
    why = f" The last pull failed: {shortened(failing)}" if failing else ""
    count = sum(map(len, missed.values()))
    return CauseState(
        members=frozenset(missed),
        title=f"coverage is falling: {schools_text(len(missed))} of {len(schools)}",
        what=f"{count} school {plural(count, 'day', 'days')} since {day_text(min(map(min, missed.values())))} "
        f"{plural(count, 'was', 'were')} not pulled to the end, of {listed(names)}.{why}",
        next_step="look at the latest run of the district's DAG; the next one asks for these days again by itself.",
        schools=names,
    )


def _missed(school: SchoolCoverage, last: date, facts: DistrictFacts) -> list[date]:
    """List the school days, from the first covered one to ``last``, that no settled pull has covered.

    A pull that ran before a day was over covers that day only until the district's next upload.
    """
    settled = [one for one in school.days if one.cover.is_settled]
    if not settled:
        return []
    observed = DateRange(max(settled[0].first, first_retained(facts.today)), last)
    _, last_sync = facts.coverage.last_sync
    too_early = [
        (max(one.first, pulled_on(one.cover, facts.zone)), min(one.last, last))
        for one in settled
        if one.cover.sync < last_sync
    ]
    missed = [*school.gaps(observed), *(DateRange(*ends) for ends in too_early if ends[0] <= ends[1])]
    return [day for day in days_of(missed) if day in observed and day.weekday() in facts.weekdays]


def withheld(facts: DistrictFacts) -> CauseState | None:
    """Find the schools of which landed rows did not come back."""
    found = withheld_schools(facts.coverage)
    if not found:
        return CauseState(title="nothing is withheld any more", what="The rows came back, or a person has answered.")
    names = facts.names(one.school_id for one in found)
    return CauseState(
        members=frozenset(one.school_id for one in found),
        title=f"rows of {schools_text(len(found))} did not come back",
        what="They stand as they were, and nothing was concluded: "
        f"{listed(tuple(f'{one.name or one.school_id} ({one.words})' for one in found))}.",
        next_step="ask the district whether they were deleted, then answer on the coverage page or with "
        "clever-attendance answer.",
        schools=names,
    )


def quarantine(facts: DistrictFacts) -> CauseState | None:
    """Say how many more rows cannot land. None: no run has just counted them."""
    if facts.newly_quarantined is None:
        return None
    if not facts.newly_quarantined:
        return CauseState(title="quarantine has stopped growing", what="The last run set no further rows aside.")
    rows = "1 row" if facts.newly_quarantined == 1 else f"{facts.newly_quarantined:,} rows"
    return CauseState(
        members=frozenset({"district"}),
        title=f"{rows} more in quarantine",
        what=f"{rows} cannot land and {plural(facts.newly_quarantined, 'was', 'were')} set aside; all others have "
        "landed.",
        next_step=f"look at them in _clever/district={facts.coverage.district_id}/quarantine, and tell the district "
        "what is wrong with them.",
    )
