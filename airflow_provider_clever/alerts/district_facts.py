"""What the causes of alerts are judged from, and the words for it. No I/O."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from typing import Final

from airflow_provider_clever.alerts.decision import Cause
from airflow_provider_clever.alerts.expectation import school_weekdays
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage

_NAMED_SCHOOLS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictFacts:
    """What is known of a district when alerts are sent.

    :param coverage: which of its days are covered.
    :param now: the present moment, with its zone.
    :param zone: the district's.
    :param expected_by: the time of day by which it is to be in; None: there is none.
    :param days_with_rows: the days on which any school has landed rows.
    :param landed: the ids of the schools with rows, by day, for the newest days with rows before today.
    :param already_sent: the members of each cause that alerts have named, such as the ids of schools.
    :param newly_quarantined: how many rows are in quarantine that no alert has counted; None: they were not counted.
    :param known_before_today: whether alerts about the district were asked for on an earlier day.
    """

    coverage: Coverage
    now: datetime
    zone: tzinfo
    expected_by: time | None = None
    days_with_rows: Collection[date] = ()
    landed: Mapping[date, Collection[str]]
    already_sent: Mapping[Cause, Collection[str]] = field(default_factory=dict)
    newly_quarantined: int | None = None
    known_before_today: bool = True

    @property
    def today(self) -> date:
        """The date in the district."""
        return self.now.astimezone(self.zone).date()

    @property
    def weekdays(self) -> frozenset[int]:
        """The weekdays on which there is school."""
        return school_weekdays(self.days_with_rows, self.today)

    @property
    def withheld_schools(self) -> set[str]:
        """The ids of the schools whose withheld rows wait for an answer."""
        shared = self.coverage.shared_schools()
        return {school_id for school_id, school in shared.items() if school.open_withheld}

    @property
    def asked_schools(self) -> dict[str, SchoolCoverage]:
        """The shared schools, without those whose withheld rows wait for an answer: that is a cause of its own."""
        return {
            school_id: school
            for school_id, school in self.coverage.shared_schools().items()
            if not school.open_withheld
        }

    def names(self, school_ids: Iterable[str]) -> tuple[str, ...]:
        """Give the names of schools, sorted."""
        return tuple(sorted(self.coverage.schools[school_id].name or school_id for school_id in school_ids))


def day_text(day: date) -> str:
    """Give the day with its weekday."""
    return f"{day:%a} {day}"


def plural(count: int, one: str, several: str) -> str:
    """Choose the singular or the plural."""
    return one if count == 1 else several


def days_text(count: int) -> str:
    """Say how many days."""
    return f"{count} {plural(count, 'day', 'days')}"


def schools_text(count: int) -> str:
    """Say how many schools."""
    return f"{count} {plural(count, 'school', 'schools')}"


def listed(names: tuple[str, ...]) -> str:
    """List the first five by name, and count the others."""
    more = f" and {len(names) - _NAMED_SCHOOLS} more" if len(names) > _NAMED_SCHOOLS else ""
    return ", ".join(names[:_NAMED_SCHOOLS]) + more


_MOST_CHARACTERS: Final = 160


def shortened(text: str) -> str:
    """Cut a long sentence off."""
    text = text.rstrip(".")
    return f"{text}." if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"
