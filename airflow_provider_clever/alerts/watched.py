"""What is known of a district when people are to be told, and the words for it. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from typing import Final

from airflow_provider_clever.alerts.decision import Cause
from airflow_provider_clever.alerts.expectation import school_weekdays
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage

_NAMED_SCHOOLS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of a district when people are to be told.

    :param coverage: which of its days are covered.
    :param now: the present moment, with its zone.
    :param zone: the district's.
    :param expected_by: the time of day by which it is to be in; None: at no time.
    :param days_with_rows: the days of which any school has landed rows.
    :param landed: the ids of the schools with rows, by day, of the newest days with rows before today.
    :param told: of each cause what any notifier has been told of, such as the ids of schools.
    :param set_aside: how many rows are in quarantine that were not at the last look; None: no run has said.
    :param known_before_today: whether the district was looked after on an earlier day.
    """

    coverage: Coverage
    now: datetime
    zone: tzinfo
    expected_by: time | None = None
    days_with_rows: Collection[date] = ()
    landed: Mapping[date, Collection[str]]
    told: Mapping[Cause, Collection[str]] = field(default_factory=dict)
    set_aside: int | None = None
    known_before_today: bool = True

    @property
    def today(self) -> date:
        """The date in the district."""
        return self.now.astimezone(self.zone).date()

    @property
    def weekdays(self) -> frozenset[int]:
        """The weekdays with school."""
        return school_weekdays(self.days_with_rows, self.today)

    @property
    def withheld_schools(self) -> set[str]:
        """The ids of those that wait for an answer."""
        shared = self.coverage.shared_schools()
        return {school_id for school_id, school in shared.items() if school.open_withheld}

    @property
    def asked_schools(self) -> dict[str, SchoolCoverage]:
        """The shared schools, without those that wait for an answer: that is a cause of its own."""
        return {
            school_id: school
            for school_id, school in self.coverage.shared_schools().items()
            if not school.open_withheld
        }

    def names(self, school_ids: Iterable[str]) -> tuple[str, ...]:
        """The names of schools, sorted."""
        return tuple(sorted(self.coverage.schools[school_id].name or school_id for school_id in school_ids))


def day_text(day: date) -> str:
    """The day with its weekday."""
    return f"{day:%a} {day}"


def plural(count: int, one: str, several: str) -> str:
    """The word that goes with a number."""
    return one if count == 1 else several


def days_text(count: int) -> str:
    """So many days."""
    return f"{count} {plural(count, 'day', 'days')}"


def schools_text(count: int) -> str:
    """So many schools."""
    return f"{count} {plural(count, 'school', 'schools')}"


def listed(names: tuple[str, ...]) -> str:
    """The first five by name, the others by number."""
    more = f" and {len(names) - _NAMED_SCHOOLS} more" if len(names) > _NAMED_SCHOOLS else ""
    return ", ".join(names[:_NAMED_SCHOOLS]) + more


def shortened(text: str, most: int = 160) -> str:
    """A sentence of at most so many characters."""
    text = text.rstrip(".")
    return f"{text}." if len(text) <= most else f"{text[:most]} …"
