"""The causes that follow from what runs have recorded: silence, coverage, withheld rows, quarantine. Pure."""

from datetime import date
from typing import Final

from airflow_provider_clever.alerts.decision import Cause, CauseState
from airflow_provider_clever.alerts.expectation import previous_school_day, pulled_on
from airflow_provider_clever.alerts.watched import Watched, day_text, listed, plural, schools_text, shortened
from airflow_provider_clever.dates import ONE_DAY, DateRange, days_of, first_retained
from airflow_provider_clever.ledger.coverage import SchoolCoverage
from airflow_provider_clever.ledger.reporting import withheld_schools

LOOKED_BACK_DAYS: Final = 11
"""So many of the newest days with rows are looked at for schools that are silent: two weeks of school and a day."""

_USUAL_DAYS: Final = 5
_MOST_SILENT_BEFORE: Final = 1
"""A school that had rows on all but one of the five school days before is expected to have some on the next."""


def silent(watched: Watched) -> CauseState | None:
    """Which schools have no rows of the last school day, though they usually do, and others have."""
    shared = watched.asked_schools
    days = [
        day
        for day in sorted(watched.landed, reverse=True)
        if day < watched.today and 2 * len(shared.keys() & {*watched.landed[day]}) >= len(shared)
    ]
    if not days:
        return None
    day, before = days[0], days[1:]
    speaking = {*watched.landed[day]}
    silent = {
        school_id
        for school_id, school in shared.items()
        if school_id not in speaking
        and (
            school_id in watched.told.get(Cause.SILENT, ())
            or _is_expected_to_speak(school_id, school, day, before, watched)
        )
    }
    if not silent:
        return CauseState(
            title="no school is silent any more",
            what=f"The schools that were have rows of {day_text(day)}, or are no longer shared.",
        )
    names = watched.names(silent)
    return CauseState(
        members=frozenset(silent),
        title=f"{schools_text(len(silent))} {plural(len(silent), 'is', 'are')} silent",
        what=f"{listed(names)}: no rows of {day_text(day)}, while {schools_text(len(shared.keys() & speaking))} of the "
        "district have some.",
        next_step="ask the district whether these schools had no school that day, or have stopped uploading.",
        schools=names,
    )


def _is_expected_to_speak(
    school_id: str, school: SchoolCoverage, day: date, before: list[date], watched: Watched
) -> bool:
    """Whether a school usually has rows, on this weekday too, and a pull has seen that it has none."""
    usual = before[:_USUAL_DAYS]
    spoke = [one for one in usual if school_id in watched.landed[one]]
    same_weekday = next((one for one in before if one.weekday() == day.weekday()), None)
    return (
        len(usual) == _USUAL_DAYS
        and len(usual) - len(spoke) <= _MOST_SILENT_BEFORE
        and (same_weekday is None or school_id in watched.landed[same_weekday])
        and (cover := school.days.get(day)) is not None
        and cover.is_settled
        and pulled_on(cover, watched.zone) > day
    )


def falling(watched: Watched) -> CauseState | None:
    """Which schools were covered up to the present and no longer are."""
    schools = watched.asked_schools
    if not any(school.days for school in schools.values()):
        return None
    # The last school day may have met a sync half-way, or a night that failed once; the next night pulls it again.
    last = previous_school_day(watched.today, watched.weekdays) - ONE_DAY
    missed = {school_id: days for school_id, school in schools.items() if (days := _missed(school, last, watched))}
    if not missed:
        return CauseState(title="coverage is whole again", what="No school day that Clever still has is left open.")
    names = watched.names(missed)
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


def _missed(school: SchoolCoverage, last: date, watched: Watched) -> list[date]:
    """The school days, from the first covered one to ``last``, that no settled pull has covered.

    A pull that came before a day was over covers it until the district has uploaded since.
    """
    settled = [one for one in school.days if one.cover.is_settled]
    if not settled:
        return []
    looked_at = DateRange(max(settled[0].first, first_retained(watched.today)), last)
    _, last_sync = watched.coverage.last_sync
    too_early = [
        (max(one.first, pulled_on(one.cover, watched.zone)), min(one.last, last))
        for one in settled
        if one.cover.sync < last_sync
    ]
    missed = [*school.gaps(looked_at), *(DateRange(*ends) for ends in too_early if ends[0] <= ends[1])]
    return [day for day in days_of(missed) if day in looked_at and day.weekday() in watched.weekdays]


def withheld(watched: Watched) -> CauseState | None:
    """Of which schools rows did not come back."""
    found = withheld_schools(watched.coverage)
    if not found:
        return CauseState(title="nothing is withheld any more", what="The rows came back, or a person has answered.")
    names = watched.names(one.school_id for one in found)
    return CauseState(
        members=frozenset(one.school_id for one in found),
        title=f"rows of {schools_text(len(found))} did not come back",
        what="They stand as they were, and nothing was concluded: "
        f"{listed(tuple(f'{one.name or one.school_id} ({one.words})' for one in found))}.",
        next_step="ask the district whether they were deleted, then answer on the coverage page or with "
        "clever-attendance answer.",
        schools=names,
    )


def quarantine(watched: Watched) -> CauseState | None:
    """How many more rows cannot land; None: no run has just looked."""
    if watched.set_aside is None:
        return None
    if not watched.set_aside:
        return CauseState(title="quarantine has stopped growing", what="The last run set no further rows aside.")
    rows = "1 row" if watched.set_aside == 1 else f"{watched.set_aside:,} rows"
    return CauseState(
        members=frozenset({"district"}),
        title=f"{rows} more in quarantine",
        what=f"{rows} cannot land and {plural(watched.set_aside, 'was', 'were')} set aside; all others have landed.",
        next_step=f"look at them in _clever/district={watched.coverage.district_id}/quarantine, and tell the district "
        "what is wrong with them.",
    )
