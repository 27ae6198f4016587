"""Twenty questions: each engine answers from the months as it does from the landed files, rows skipped or not."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.builders import DISTRICT, SCHOOL
from tests.lake.emulators import Store
from tests.table import engines
from tests.table.lakes import OTHER_SCHOOL, at, land

TWIN = f"{DISTRICT[:16]}{'f' * 8}"
"""A district whose id begins with the same 16 characters."""

QUESTIONS = [
    "attendance_date = DATE '2026-04-01'",
    "attendance_date <> DATE '2026-04-01'",
    "attendance_date < DATE '2026-04-01'",
    "attendance_date >= DATE '2026-04-01'",
    "attendance_date BETWEEN DATE '2026-03-31' AND DATE '2026-04-01'",
    "attendance_date > DATE '2026-05-31'",
    "attendance_date IS NULL",
    "district_id = '{district}'",
    "district_id = '{twin}'",
    "district_id <> '{twin}'",
    "district_id = '{twin}' AND attendance_date = DATE '2026-04-02'",
    "school_id = '{school}' AND attendance_status = 'absent'",
    "student_id = 'b'",
    "student_id IN ('a', 'z')",
    "starts_with(student_id, 'c')",
    "missing_since IS NULL",
    "missing_since IS NOT NULL",
    "excuse_code IS NULL AND attendance_status = 'absent'",
    "excuse_code = 'S'",
    "section_id IS NOT NULL",
    "last_modified > TIMESTAMPTZ '2026-04-02 06:00:00+00'",
    "_extra IS NOT NULL AND attendance_date < DATE '2026-04-02'",
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store("file", str(tmp_path_factory.mktemp("predicates") / "lake"))
    for number, day in enumerate(("2026-03-30", "2026-03-31", "2026-04-01", "2026-04-02", "2026-05-01")):
        for district in (DISTRICT, TWIN):
            students = {one: ("absent", "present", "tardy")[(ord(one) + number) % 3] for one in "abcde"}
            land(store, day, students, district=district, modified=number * 3)
            land(store, day, students, district=district, school=OTHER_SCHOOL, excuse_code="S", _extra='{"x":1}')
        land(store, day, "acde", modified=number * 3)  # b of one district is marked
    objects = at(store)
    report = TableUpdate(objects, MonthlyParquet(objects), UpdateRules(today=date(2026, 5, 2))).run([DISTRICT, TWIN])
    assert report.problem() is None
    return Path(store.root)


@pytest.fixture(scope="module")
def duck(lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.register("heap", engines.landed(lake).to_arrow())
        connection.execute(f"CREATE VIEW months AS SELECT * FROM read_parquet('{lake / engines.MONTHS}')")
        yield connection


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_the_same_answer(lake: Path, duck: duckdb.DuckDBPyConnection, question: str) -> None:
    where = question.format(district=DISTRICT, twin=TWIN, school=SCHOOL)
    order = f"SELECT {engines.COLUMNS} FROM %s WHERE {where} ORDER BY ALL"
    expected: list[Any] = duck.sql(order % "heap").fetchall()
    assert duck.sql(order % "months").fetchall() == expected
    months = pl.scan_parquet(lake / engines.MONTHS, glob=True, hive_partitioning=False)
    plain = where.replace("TIMESTAMPTZ '2026-04-02 06:00:00+00'", "TIMESTAMP '2026-04-02 06:00:00'")
    naive = months.with_columns(pl.col("last_modified").dt.replace_time_zone(None))
    assert pl.SQLContext(months=naive).execute(f"SELECT * FROM months WHERE {plain}").collect().height == len(expected)


def test_the_questions_do_not_all_have_one_answer(duck: duckdb.DuckDBPyConnection) -> None:
    counts = [
        duck.sql(
            f"SELECT count(*) FROM heap WHERE {one.format(district=DISTRICT, twin=TWIN, school=SCHOOL)}"
        ).fetchall()
        for one in QUESTIONS
    ]
    assert len({count[0][0] for count in counts}) > 8
