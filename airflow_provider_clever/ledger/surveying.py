"""Gathers what a plan needs from Clever and from coverage, and makes the plan."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.absence import unlisted
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverDataError, CleverHTTPError
from airflow_provider_clever.lake.answers import read_answers
from airflow_provider_clever.lake.forgotten import refuse_forgotten
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import read_coverage
from airflow_provider_clever.ledger.planner import DistrictPlan, PlanSettings, plan
from airflow_provider_clever.models import District
from airflow_provider_clever.pull.chains import Scope, plan_chains
from airflow_provider_clever.pull.run import Pull
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.syncs import last_sync_text

_WORTH_SAMPLING_DAYS: Final = 5
"""For how many days due a school is asked for one of them first, to learn how much there is."""
_MOST_SAMPLED: Final = 100
"""How many schools are asked for one day at most: their mean tells well enough how much all others have together."""
_SIDE_BY_SIDE: Final = 8
"""How many schools are asked at once."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A district as it is now, and its plan.

    :param schools: names of the schools that it shares, by id.
    :param left_out: the schools that its list leaves out so that it cannot be trusted; None: it can.
    """

    district: District
    schools: Mapping[str, str]
    coverage: Coverage
    plan: DistrictPlan
    left_out: list[str] | None = None

    @property
    def last_sync(self) -> str | None:
        """The district's last attendance sync, ISO-8601 UTC."""
        return last_sync_text(self.district)


def survey(
    client: CleverClient,
    objects: Objects,
    *,
    today: date,
    settings: PlanSettings,
    asked: DateRange | None = None,
    within: DateRange | None = None,
) -> Survey:
    """Find out what is due of a district.

    It takes a few requests, and one for each school about which nothing is known. If these are more than a hundred, a
    hundred of them are asked, and the plan takes their mean for the others.

    :param client: the API client of the district.
    :param objects: the destination.
    :param today: the date in the district.
    :param asked: days that are due whatever is covered, and no others.
    :param within: consider these days only.
    :raises CleverError: Clever or the destination does not answer.
    """
    district = client.get_district()
    refuse_forgotten(objects, district.id)
    schools = {school.id: school.name for school in client.iter_schools()}
    coverage = read_coverage(objects, district.id).coverage
    last_sync = last_sync_text(district)
    left_out = schools_left_out(objects, coverage, schools)

    def planned(rows_per_weekday: Mapping[str, float]) -> DistrictPlan:
        return plan(
            coverage,
            schools,
            today=today,
            last_sync=last_sync,
            settings=settings,
            rows_per_weekday=rows_per_weekday,
            asked=asked,
            within=within,
        )

    first = planned({})
    unknown = [
        school.school_id
        for school in first.schools
        if school.requests is None and sum(span.weekdays for span in school.due) >= _WORTH_SAMPLING_DAYS
    ]
    if not unknown or last_sync is None:
        return Survey(district, schools, coverage, first, left_out)
    day = _sample_day(min(settings.corrections.local_date(last_sync), first.span.last))
    sample = (
        [unknown[n * len(unknown) // _MOST_SAMPLED] for n in range(_MOST_SAMPLED)]
        if len(unknown) > _MOST_SAMPLED
        else unknown
    )
    rows = _sampled_rows(client, district.id, sample, day)
    estimated = dict.fromkeys(set(unknown) - set(sample), sum(rows.values()) / len(rows)) if rows else {}
    found = replace(planned(estimated | rows), sampled_schools=len(rows), estimated_schools=len(estimated))
    return Survey(district, schools, coverage, found, left_out)


def schools_left_out(objects: Objects, coverage: Coverage, schools: Collection[str]) -> list[str] | None:
    """The schools that a list leaves out if it leaves out so many that it cannot be trusted; None: it can.

    :param schools: those that the list names.
    :raises CleverLandingError: the destination cannot be read.
    """
    known = coverage.listed_schools
    if known <= set(schools):
        return unlisted(known, schools)
    said = read_answers(objects, coverage.district_id).unshared
    # What was said of a school says nothing any more once a later list has named it.
    unshared = {id_ for id_ in known & said.keys() if str(coverage.schools[id_].listed_on) <= said[id_][:10]}
    return unlisted(known - unshared, schools)


def _sample_day(synced_on: date) -> date:
    # The day before the last sync: that of the sync itself may have been uploaded in part.
    day = synced_on - timedelta(days=1)
    return day - timedelta(days=max(0, day.weekday() - 4))


def _sampled_rows(client: CleverClient, district_id: str, school_ids: Sequence[str], day: date) -> dict[str, float]:
    rows = _rows_on(client, district_id, school_ids, day)
    # A day without any may have been a holiday.
    without_any = [school_id for school_id, count in rows.items() if not count]
    return rows | _rows_on(client, district_id, without_any, day - timedelta(days=7))


def _rows_on(client: CleverClient, district_id: str, school_ids: Sequence[str], day: date) -> dict[str, float]:
    """How many rows each school has on a day; without those that do not answer: the pull will say what is wrong."""
    chains = plan_chains(Scope.SCHOOL, school_ids, day, day, concurrency=_SIDE_BY_SIDE)
    pull = Pull(
        client,
        chains,
        district_id=district_id,
        set_aside=lambda *_: None,
        stop=threading.Event(),
        max_concurrency=_SIDE_BY_SIDE,
    )
    try:
        pull.land(lambda _: None)
    except (CleverHTTPError, CleverDataError):  # no school can escape it, so the pull will say it too
        return {}
    return {id_: float(scope.received) for id_, scope in pull.result.scopes.items() if not scope.errors}
