"""The sizing table of the documentation is what the planner says."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers, Stretch
from airflow_provider_clever.ledger.planner import PlanSettings, plan
from airflow_provider_clever.syncs import moment_text
from tests.benchmarks import at_scale

PAGE = Path(__file__).parents[3] / "docs/how-to/scale-out.md"
TODAY = date(2026, 11, 24)  # a Tuesday: no sweep
SIZES = ((1, 500), (10, 500), (50, 2_000), (50, 16_000), (300, 500), (300, 2_000))


def sizes() -> list[str]:
    """The table's lines."""
    return [_line(schools, rows) for schools, rows in SIZES]


def _line(schools: int, rows: int) -> str:
    names = {f"s{number:03d}": "" for number in range(schools)}
    yesterday = moment_text(datetime.combine(TODAY - timedelta(days=1), time(23), UTC))
    today = moment_text(datetime.combine(TODAY, time(23), UTC))
    cover = Cover(is_settled=True, pulled_at=yesterday, sync=yesterday)
    covered = DayCovers([Stretch(first_retained(TODAY), TODAY - timedelta(days=1), cover)])
    nightly = Coverage("d", schools={name: SchoolCoverage(proven=covered, rows_per_weekday=rows) for name in names})
    new = Coverage("d", schools={name: SchoolCoverage(rows_per_weekday=rows) for name in names})
    night, first = (
        plan(known, names, today=TODAY, last_sync=today, settings=PlanSettings()) for known in (nightly, new)
    )
    landed = schools * rows * DateRange(first_retained(TODAY), TODAY).weekdays
    figures = (
        schools, rows, landed, night.requests, len(night.tasks), _minutes(night.minutes),
        first.requests, len(first.tasks), _minutes(first.minutes),
    )  # fmt: skip
    return "| " + " | ".join(one if isinstance(one, str) else f"{one:,}" for one in figures) + " |"


def _minutes(minutes: float) -> str:
    return "< 1" if minutes < 1 else f"{minutes:,.0f}"


def test_the_documented_sizes_are_the_planners() -> None:
    text = PAGE.read_text()
    for line in sizes():
        assert line in text


def test_the_figures_of_a_whole_country_are_the_planners() -> None:
    page, schools = at_scale.PAGE.read_text(), sum(districts * each for districts, each in at_scale.SHAPE)
    for rows_a_day in at_scale.ROWS_A_DAY.values():
        each_night = [schools * found.requests for found in at_scale.plans_of(1, rows_a_day)]
        assert "| requests | " + " | ".join(f"{requests:,}" for requests in each_night) + " |" in page
