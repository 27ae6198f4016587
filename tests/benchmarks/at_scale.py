"""What all districts of the USA would take: ``python -m tests.benchmarks.at_scale``; ``--write`` updates the page.

Requests, tasks and partitions are the planner's own; rates are those of docs/explanation/performance/measurements.json;
sizes are those of files landed here, from the sandbox. Assumed are SHAPE, STUDENTS and NIGHT_HOURS.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from airflow_provider_clever.dates import first_retained
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers, Stretch
from airflow_provider_clever.ledger.planner import DistrictPlan, PlanSettings, plan
from airflow_provider_clever.sandbox.testing import running_sandbox
from airflow_provider_clever.syncs import moment_text
from tests.support.asking import ask, files

DOCS: Final = Path(__file__).parents[2] / "docs/explanation"
PAGE: Final = DOCS / "at-scale.md"
TUESDAY: Final = date(2026, 11, 24)
SUNDAY: Final = date(2026, 11, 29)
STUDENTS: Final = 500
ROWS_A_DAY: Final = {"daily": STUDENTS, "sections": STUDENTS * 8}
"""Rows of a school and day: one for each student, or one daily row and seven section rows."""
NIGHT_HOURS: Final = 3
TASK_START_SECONDS: Final = 10
"""A task's start-up (how-to/scale-out.md)."""
STARTS_PER_SECOND: Final = 1.0
"""Task starts of one scheduler on two cores (how-to/scale-out.md)."""
PARSE_SECONDS: Final = 1.8 / 2000
"""Processor time for each district's DAG (how-to/scale-out.md)."""
NIGHT_SECONDS: Final = 0.97
"""Processor time of Airflow's services and of all tasks of a district with little to pull (performance.md)."""
A_NIGHT: Final = "[a night in Airflow](performance.md#what-a-night-costs-in-airflow)"
OTHER_TASKS: Final = 3
"""Tasks of a district's night beside its pulls: plan, record, announce."""
SHAPE: Final = ((1, 1_600), (25, 200), (250, 50), (2_124, 18), (10_600, 4))
"""Districts, and schools in each: few large ones and many small ones, 13,000 and about 100,000 in all."""


@dataclass(frozen=True, slots=True)
class Night:
    """One night of all districts.

    :param rows: rows that are pulled.
    :param days: days of schools that are pulled: as many partitions are compared.
    :param longest_minutes: how long the largest district takes within its token's budget.
    :param task_seconds: seconds of all pulling tasks, with their start-up.
    """

    requests: int
    rows: int
    days: int
    tasks: int
    longest_minutes: float
    task_seconds: float


def measured(scenario: str, contender: str, figure: str) -> float:
    """The median of a figure over a benchmark's runs."""
    runs = json.loads((DOCS / "performance/measurements.json").read_text())["measurements"]
    found = [run for run in runs if (run["scenario"], run["contender"]) == (scenario, contender) and run["pull"] == 1]
    return statistics.median(run[figure] for run in found)


def rows_per_second() -> float:
    """What one task pulls at 150 ms an answer, with the operator's defaults."""
    return measured("four-schools", "parquet", "rows") / measured("four-schools", "parquet", "seconds")


def cpu_seconds_per_million() -> float:
    """Processor seconds for a million rows, at 150 ms an answer."""
    return measured("four-schools", "parquet", "cpu_seconds") / measured("four-schools", "parquet", "rows") * 1e6


def file_bytes(rows_a_day: int) -> float:
    """The mean size of a landed Parquet file of about so many rows; a student of the sandbox has eight a day."""
    options = {"districts": "large", "large_schools": 2, "large_students": rows_a_day // 8, "today": "2026-11-23"}
    with running_sandbox(**options) as sandbox, tempfile.TemporaryDirectory() as folder:
        ask(sandbox, Path(folder), district="large", first_day=date(2026, 11, 16), last_day=date(2026, 11, 20))
        return statistics.mean(map(len, files(Path(folder)).values()))


def nights(rows_a_day: int) -> tuple[Night, Night, Night]:
    """An ordinary night, the night of the weekly sweep, and the first run."""
    plans = [(districts, schools, *plans_of(schools, rows_a_day)) for districts, schools in SHAPE]
    return tuple(  # type: ignore[return-value]
        _night([(districts, schools, found[which]) for districts, schools, *found in plans], rows_a_day)
        for which in range(3)
    )


def plans_of(schools: int, rows_a_day: int) -> Iterator[DistrictPlan]:
    """What is due in a district on an ordinary night, on that of the weekly sweep, and in the first run."""
    names = {f"s{number:04d}": "" for number in range(schools)}
    for today, is_new in ((TUESDAY, False), (SUNDAY, False), (TUESDAY, True)):
        yesterday, now = (_evening(today - timedelta(days=1)), _evening(today))
        cover = Cover(is_settled=True, pulled_at=yesterday, sync=yesterday)
        known_days = [] if is_new else [Stretch(first_retained(today), today - timedelta(days=1), cover)]
        history = DayCovers(known_days)
        known = {name: SchoolCoverage(proven=history, rows_per_weekday=rows_a_day) for name in names}
        yield plan(Coverage("d", schools=known), names, today=today, last_sync=now, settings=PlanSettings())


def _evening(day: date) -> str:
    return moment_text(datetime.combine(day, time(23), UTC))


def _night(plans: list[tuple[int, int, DistrictPlan]], rows_a_day: int) -> Night:
    requests = rows = days = tasks = 0
    task_seconds = 0.0
    for districts, _, found in plans:
        weekdays = sum(span.weekdays for school in found.schools for span in school.asked)
        requests += districts * found.requests
        rows += districts * weekdays * rows_a_day
        days += districts * weekdays
        tasks += districts * len(found.tasks)
        pulling = max(weekdays * rows_a_day / rows_per_second(), found.minutes * 60)
        task_seconds += districts * (pulling + TASK_START_SECONDS * len(found.tasks))
    longest = max(found.minutes for _, _, found in plans)
    return Night(requests, rows, days, tasks, longest, task_seconds)


def table(rows_a_day: int) -> Iterator[str]:
    """The page's table for schools with so many rows a day."""
    districts = sum(count for count, _ in SHAPE)
    yield "| | ordinary night | weekly sweep | first run |"
    yield "|---|---|---|---|"
    found = nights(rows_a_day)

    def row(name: str, figure: Any) -> str:
        return f"| {name} | " + " | ".join(figure(night) for night in found) + " |"

    yield row("requests", lambda night: f"{night.requests:,}")
    yield row("rows pulled", lambda night: f"{night.rows / 1e6:,.0f} million")
    yield row("partitions compared", lambda night: f"{night.days:,}")
    yield row("pulling tasks", lambda night: f"{night.tasks:,}")
    yield row("minutes of the largest district", lambda night: f"{night.longest_minutes:,.0f}")
    yield row("processor hours of rows", lambda night: f"{night.rows / 1e6 * cpu_seconds_per_million() / 3600:,.1f}")
    yield row(
        "processor hours of Airflow and of tasks by themselves", lambda _: f"{districts * NIGHT_SECONDS / 3600:,.1f}"
    )
    yield row(
        f"worker slots, to end in {NIGHT_HOURS} hours", lambda night: f"{night.task_seconds / NIGHT_HOURS / 3600:,.0f}"
    )
    yield row(
        "task starts a second, with plan, record and announce",
        lambda night: f"{(night.tasks + OTHER_TASKS * districts) / NIGHT_HOURS / 3600:,.1f}",
    )


def size_of_a_year(rows_a_day: int) -> str:
    """What lands on a school day, and in a school year."""
    schools, one = sum(districts * each for districts, each in SHAPE), file_bytes(rows_a_day)
    return (
        f"A school day adds {schools:,} files of {one / 1e3:,.0f} kB, {schools * one / 1e9:,.1f} GB."
        f" A school year of 180 days: {schools * 180 / 1e6:,.1f} million files,"
        f" {schools * rows_a_day * 180 / 1e9:,.0f} billion rows, {schools * 180 * one / 1e12:,.2f} TB."
    )


def written(text: str, parts: Mapping[str, str]) -> str:
    """The page with its measured parts replaced."""
    for name, part in parts.items():
        block = rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(block, lambda found, part=part: f"{found[1]}{part}\n{found[2]}", text, flags=re.DOTALL)
    return text


def parts() -> dict[str, str]:
    """The page's measured parts."""
    districts = sum(count for count, _ in SHAPE)
    tables = {
        name: "\n".join((*table(rows_a_day), "", size_of_a_year(rows_a_day))) for name, rows_a_day in ROWS_A_DAY.items()
    }
    rates = (
        "| rate | figure | from |",
        "|---|---|---|",
        f"| rows a second of one task, 150 ms an answer | {rows_per_second():,.0f} | `make bench`, four schools |",
        f"| processor seconds for a million rows | {cpu_seconds_per_million():.1f} | the same |",
        f"| processor seconds to parse {districts:,} DAGs | {PARSE_SECONDS * districts:,.0f} | 1.8 s for 2,000 |",
        f"| processor seconds of a district's night with little to pull | {NIGHT_SECONDS} | {A_NIGHT} |",
        f"| task starts a second, two cores | {STARTS_PER_SECOND:.0f} | [scale-out](../how-to/scale-out.md) |",
    )
    return {"rates": "\n".join(rates), **tables}


if __name__ == "__main__":
    found = parts()
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text(), found))
    sys.stdout.write("\n\n".join(found.values()) + "\n")
