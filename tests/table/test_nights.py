"""Whole pulls, and the tables made after each: of nights with schools that are doubted, or have no rows at all."""

from pathlib import Path

import duckdb
import pytest

from airflow_provider_clever.exceptions import CleverWithheldError
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.table.iceberg.table import IcebergTable
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules
from tests.lake.emulators import Store
from tests.support.asking import ask
from tests.table import engines
from tests.table.iceberg_lakes import embedded, landed, read
from tests.table.lakes import at
from tests.trust.lakes import FIRST, LAST


class Nights:
    """The small district: what it has at Clever, a lake, and both tables of it."""

    def __init__(self, sandbox: Sandbox, store: Store) -> None:
        self.sandbox, self.store = sandbox, store
        self.district = sandbox.district("small")
        self.pulls = 0

    def night(self, *withheld: str) -> None:
        """Pull; bring both tables up to date; compare them with what has landed.

        :param withheld: the schools that are doubted.
        """
        self.pulls += 1
        answer = ask(self.sandbox, Path(self.store.root), first_day=FIRST, last_day=LAST, work=f"night {self.pulls}")
        assert isinstance(answer.problem, CleverWithheldError) if withheld else answer.problem is None
        assert answer.summary["schools_withheld"] == [*withheld]
        objects = at(self.store)
        tables: tuple[MonthlyParquet | IcebergTable, ...] = (MonthlyParquet(objects), embedded(self.store))
        for table in tables:
            report = TableUpdate(objects, table, UpdateRules(today=LAST)).run([self.district.id])
            assert report.problem() is None
        assert engines.differences(Path(self.store.root)) == []
        for engine in ("pyiceberg", "polars"):
            assert read(engine, self.store) == [landed(self.store)], engine

    def counts(self, school: str) -> tuple[int, int]:
        """How many rows of a school the months have, and how many of them are marked."""
        files = f"read_parquet('{self.store.root}/{engines.MONTHS}', hive_partitioning = false)"
        ((rows, marked),) = duckdb.execute(
            f"SELECT count(*), count(missing_since) FROM {files} WHERE school_id = ?", [self.district.schools[school]]
        ).fetchall()
        return rows, marked

    def at_clever(self, school: str) -> int:
        return len(
            self.sandbox.expected("small", school_id=self.district.schools[school], date_range_start=FIRST.isoformat())
        )


@pytest.fixture
def nights(sandbox: Sandbox, local: Store) -> Nights:
    return Nights(sandbox, local)


def test_the_tables_equal_what_landed_after_a_night_with_a_school_that_is_doubted(nights: Nights) -> None:
    nights.night()
    before = nights.at_clever("Elm Primary")
    nights.sandbox.sync("small", edits=5, late_rows=3)
    gone = nights.sandbox.expected("small", school_id=nights.district.schools["Alder Elementary"])[-3:]
    nights.sandbox.delete_rows(*gone)
    nights.sandbox.knobs(rows_withheld_schools=[nights.district.schools["Elm Primary"]])

    nights.night(nights.district.schools["Elm Primary"])

    assert nights.counts("Elm Primary") == (before, 0)
    assert nights.counts("Alder Elementary") == (nights.at_clever("Alder Elementary") + 3, 3)
    nights.sandbox.knobs(rows_withheld_schools=[])
    nights.night()
    for school in nights.district.schools:
        rows, marked = nights.counts(school)
        assert rows - marked == nights.at_clever(school), school


def test_the_tables_equal_what_landed_after_nights_with_a_school_of_no_rows(nights: Nights) -> None:
    nights.sandbox.knobs(rows_withheld_schools=[nights.district.schools["Cedar High"]])

    nights.night()

    assert nights.counts("Cedar High") == (0, 0)
    nights.night()
    nights.sandbox.knobs(rows_withheld_schools=[])
    nights.night()
    assert nights.counts("Cedar High") == (nights.at_clever("Cedar High"), 0)


def test_a_district_of_which_nothing_has_come_yet_has_empty_tables(nights: Nights) -> None:
    nights.sandbox.knobs(rows_withheld_schools=["*"])
    ask(nights.sandbox, Path(nights.store.root), first_day=FIRST, last_day=LAST)
    objects = at(nights.store)
    for table in (MonthlyParquet(objects), embedded(nights.store)):
        report = TableUpdate(objects, table, UpdateRules(today=LAST)).run([nights.district.id])
        assert (report.problem(), report.written) == (None, {})
    nights.sandbox.knobs(rows_withheld_schools=[])
    nights.night()
