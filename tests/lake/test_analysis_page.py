"""docs/how-to/analyse.md: its blocks run on every source, and say what the rows of the sandbox give."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest

from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.ledger.coverage_store import Listing, record_coverage
from airflow_provider_clever.ledger.schools import write_schools
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.table import Table
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.support.asking import ask

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/analyse.md"
VIEWS = ROOT / "example_dags/attendance_views.sql"
BLOCK = re.compile(r"^```(?:sql|python)\n(?:--|#) ([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = dict(BLOCK.findall(PAGE.read_text()))
SOURCES = ("months", "parquet", "jsonl", "iceberg")
FIRST, TODAY = date(2026, 6, 1), date(2026, 11, 23)
QUESTIONS = ("days", "rates", "chronic", "tardy", "changes", "silent")


def test_the_page_has_the_parameters_of_the_file_and_names_each_of_its_views() -> None:
    assert BLOCKS["parameters"] in VIEWS.read_text()
    views = re.findall(r"^CREATE OR REPLACE VIEW (\w+)", VIEWS.read_text(), re.MULTILINE)
    assert [name for name in views if f"`{name}`" not in PAGE.read_text() and name not in BLOCKS] == []


class Analysed:
    """The sandbox's district at a place, and the page's blocks run on it."""

    def __init__(self, sandbox: Sandbox, lake: Path, source: str) -> None:
        self.lake = lake
        self.database = duckdb.connect()
        self.district = sandbox.district("small")
        sandbox.sync("small", edits=12, late_rows=5, weeks=3)
        ask(sandbox, lake, file_format="jsonl" if source == "jsonl" else "parquet")
        self.rows = sandbox.expected("small", date_range_start=str(FIRST), date_range_end=str(TODAY))
        objects = objects_at(fsspec.filesystem("file"), str(lake))
        if source in ("months", "iceberg"):
            table: Table = (
                MonthlyParquet(objects)
                if source == "months"
                else IcebergTable(embedded_catalog(destination_url(lake.as_uri())))
            )
            TableUpdate(objects, table, UpdateRules(today=TODAY)).run([self.district.id])
            names = {school_id: name for name, school_id in self.district.schools.items()}
            record_coverage(objects, self.district.id, Listing(today=TODAY, schools=names))
            assert write_schools(objects, [self.district.id], table) == []
        self.run(source)
        if source != "iceberg":  # its block names them too
            self.run("schools" if source == "months" else "schools without names")
        self.database.execute(VIEWS.read_text())

    def run(self, name: str) -> list[tuple[Any, ...]]:
        """Run a block of the page."""
        block = BLOCKS[name].replace("/lake", str(self.lake))
        if name == "iceberg":
            exec(block, {"database": self.database})
            return []
        return self.ask(block)

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        return [*self.database.execute(question).fetchall()]

    def days(self) -> dict[tuple[str, str, str], str]:
        """Each student's day, worked out from the sandbox's rows in another way than the views do."""
        found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            found[row["school_id"], row["attendance_date"], row["student_id"]].append(row)
        return {key: _day(rows) for key, rows in found.items()}


def _day(rows: list[dict[str, Any]]) -> str:
    daily = [row["attendance_status"] for row in rows if row["attendance_type"] == "daily"]
    if daily:
        return str(daily[0])
    counts = Counter(row["attendance_status"] for row in rows)
    there = counts["present"] + counts["tardy"]
    if Fraction(there, len(rows)) < Fraction(1, 2):
        return "absent"
    return "tardy" if counts["tardy"] else "present"


@pytest.fixture(params=SOURCES)
def analysed(sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Analysed]:
    found = Analysed(sandbox, tmp_path / "lake", request.param)
    yield found
    found.database.close()


def test_the_views_say_of_the_sandboxs_rows_what_is_worked_out_from_them_in_another_way(analysed: Analysed) -> None:
    days = analysed.days()
    assert days == {
        (school, str(day), student): status
        for school, day, student, status in analysed.ask(
            "SELECT school_id, attendance_date, student_id, day_status FROM student_days"
        )
    }
    assert {"present", "absent", "tardy"} == {*days.values()}

    dogwood = analysed.district.schools["Dogwood Academy"]  # sends exceptions alone
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (school, day, _), status in days.items():
        counts[school, day][status] += 1
    rates = {
        key: None if key[0] == dogwood else (found.total() - found["absent"]) / found.total()
        for key, found in counts.items()
    }
    assert rates == {
        (school, str(day)): rate
        for school, day, rate in analysed.ask(
            "SELECT school_id, attendance_date, attendance_rate FROM attendance_rates"
        )
    }

    student_dates: dict[tuple[str, bool], dict[str, bool]] = defaultdict(dict)
    for (school, day, student), status in days.items():
        if school != dogwood:
            known = student_dates[student, day >= "2026-07-01"]
            known[day] = known.get(day, False) or status != "absent"
    chronic = {
        (student, 2026 if is_new else 2025, 10 * sum(not there for there in dates.values()) >= len(dates))
        for (student, is_new), dates in student_dates.items()
    }
    assert chronic == {*analysed.ask("SELECT student_id, school_year, is_chronic FROM chronic_absence")}
    assert {is_chronic for *_, is_chronic in chronic} == {True, False}


def test_each_question_of_the_page_has_an_answer_on_every_source(analysed: Analysed) -> None:
    answers = {name: analysed.run(name) for name in QUESTIONS if name != "days"}
    assert all(answers[name] for name in ("rates", "chronic", "tardy", "changes")), answers
    edited = [row for row in analysed.rows if row["last_modified"] > row["created"]]
    assert sum(corrected for _, corrected, *_ in answers["changes"]) == len(edited)
    names = {row[0] for row in answers["rates"]}
    has_names = bool(analysed.ask("SELECT 1 FROM schools WHERE name IS NOT NULL"))
    schools = {
        name: id_ for name, id_ in analysed.district.schools.items() if id_ in {r["school_id"] for r in analysed.rows}
    }
    assert names == ({*schools} if has_names else {*schools.values()})
    block = BLOCKS["days"].replace("65e0a0000000000000000002", schools["Birch Middle"])
    assert analysed.ask(block)
