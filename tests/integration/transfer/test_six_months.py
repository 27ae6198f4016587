"""Clever forgets after six months; the lake does not."""

import os
from datetime import date, timedelta
from pathlib import Path

import duckdb

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask, due, files, landed

MONTHS = int(os.environ.get("CLEVER_MONTHS", "7"))


def test_seven_months_are_in_the_lake_with_every_correction(sandbox: Sandbox, tmp_path: Path):
    # Seven months of requests in less than a minute: the limit is tried elsewhere.
    sandbox.reset(today="2026-02-02", districts=["daily_only"], knobs={"rate_limit": 1_000_000})
    first_day = date.fromisoformat(sandbox.first_visible_day)
    began = today = date.fromisoformat(sandbox.today)
    ask(sandbox, tmp_path, district="daily_only", first_day=first_day, last_day=today, today=today, work="first")

    for night in range(3, MONTHS * 30 + 1, 3):
        # Each day brings corrections up to eight weeks old: far beyond what a night asks for, not a sweep.
        sandbox.advance(days=3, sync=["daily_only"], edits=2, late_rows=1, weeks=8)
        today = date.fromisoformat(sandbox.today)
        is_sweep = night % 21 == 0
        answer = ask(
            sandbox,
            tmp_path,
            district="daily_only",
            first_day=date.fromisoformat(sandbox.first_visible_day) if is_sweep else today - timedelta(days=14),
            last_day=today,
            today=today,
            work=f"night {night}",
        )
        assert answer.problem is None
        assert answer.summary["missing"] == 0
    while today.weekday() != 6:  # the corrections of the last days are fetched by the next sweep
        sandbox.advance(days=1)
        today = date.fromisoformat(sandbox.today)
    window = {
        "district": "daily_only",
        "first_day": date.fromisoformat(sandbox.first_visible_day),
        "last_day": today,
        "today": today,
    }
    ask(sandbox, tmp_path, **window, work="last sweep")

    still_there = {row["attendance_date"] for row in sandbox.iter_expected("daily_only")}
    sandbox.knobs(retention="off")
    everything = sandbox.expected(
        "daily_only", date_range_start=first_day.isoformat(), date_range_end=today.isoformat()
    )
    sandbox.knobs(retention="months")
    assert landed(tmp_path) == due(everything)
    assert min(row["attendance_date"] for row in everything) < min(still_there)
    assert (today - began).days >= MONTHS * 30
    marked = duckdb.sql(f"SELECT count(missing_since) FROM '{tmp_path}/attendance/**/*.parquet'").fetchall()
    assert marked == [(0,)]

    before = files(tmp_path)
    again = ask(sandbox, tmp_path, **{**window, "first_day": first_day}, work="once more")
    assert files(tmp_path) == before
    assert again.summary["written"] == 0
