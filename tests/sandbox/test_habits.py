"""The sandbox plays like life: its students differ as students do. The seed is fixed, the bounds are generous."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from statistics import mean

import pytest

from airflow_provider_clever.sandbox.expected import Due, days_due
from airflow_provider_clever.sandbox.knobs import Knobs
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.sandbox.world import World, WorldPlan

TODAY = date(2026, 11, 23)
DAYS = 120
Row = dict[str, str]


def rows_of(character: str, *, only: bytes = b"", **plan: int) -> Iterator[Row]:
    built = World(WorldPlan(7, TODAY, (character,), **plan), Knobs())
    (district,) = built.districts.values()
    for _, _, block in days_due(built, district, Due()):
        yield from (json.loads(row) for row in block if only in row)


@pytest.fixture(scope="module")
def statuses() -> dict[str, dict[str, str]]:
    """By student and day, what the daily rows of six schools say, over 120 school days."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows_of("large", only=b'"attendance_type":"daily"', large_schools=6, large_school_days=DAYS):
        found[row["student_id"]][row["attendance_date"]] = row["attendance_status"]
    return found


@pytest.fixture(scope="module")
def absences(statuses: dict[str, dict[str, str]]) -> dict[str, int]:
    """By student, on how many of the days they were absent."""
    return {student: [*days.values()].count("absent") for student, days in statuses.items()}


def test_one_day_in_fifteen_is_missed_and_one_in_forty_begins_late(statuses: dict[str, dict[str, str]]) -> None:
    said = Counter(status for days in statuses.values() for status in days.values())
    assert 0.05 < said["absent"] / said.total() < 0.09
    assert 0.015 < said["tardy"] / said.total() < 0.04


def test_a_fifth_to_a_quarter_of_the_students_miss_a_tenth_of_the_days_or_more(absences: dict[str, int]) -> None:
    chronic = [missed for missed in absences.values() if missed >= DAYS / 10]
    assert 0.18 < len(chronic) / len(absences) < 0.27


def test_students_differ_more_than_chance_would_make_them(absences: dict[str, int]) -> None:
    share = mean(absences.values()) / DAYS
    by_chance = DAYS * share * (1 - share)
    assert mean((missed - DAYS * share) ** 2 for missed in absences.values()) > 5 * by_chance
    assert min(absences.values()) <= 1
    assert max(absences.values()) > DAYS / 4


def test_mondays_are_missed_most_and_the_middle_of_the_week_least(statuses: dict[str, dict[str, str]]) -> None:
    said: dict[int, Counter[str]] = defaultdict(Counter)
    for days in statuses.values():
        for day, status in days.items():
            said[date.fromisoformat(day).weekday()][status] += 1
    missed = [said[weekday]["absent"] / said[weekday].total() for weekday in range(5)]
    assert max(missed) == missed[0] > 1.15 * min(missed[1:4])
    assert missed[4] > min(missed[1:4])


def test_who_is_seldom_away_is_away_for_days_together(
    statuses: dict[str, dict[str, str]], absences: dict[str, int]
) -> None:
    healthy = [student for student, missed in absences.items() if 0 < missed <= DAYS / 15]
    after = [
        later == "absent"
        for student in healthy
        for earlier, later in pairwise(status for _, status in sorted(statuses[student].items()))
        if earlier == "absent"
    ]
    assert mean(after) > 0.3, "by chance, one in thirty"


@pytest.mark.parametrize("character", ["both", "small", "large"])
def test_daily_and_section_rows_of_a_student_and_day_agree(character: str) -> None:
    days: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: {"daily": [], "section": []})
    for row in rows_of(character, large_schools=1, large_school_days=30):
        days[row["student_id"], row["attendance_date"]][row["attendance_type"]].append(row["attendance_status"])
    both = [found for found in days.values() if found["daily"] and found["section"]]
    assert len(both) > 200
    for found in both:
        ((daily,), sections) = found.values()
        late = sorted(sections) == sorted(["tardy", *["present"] * (len(sections) - 1)])
        assert late if daily == "tardy" else {*sections} == {daily}


@pytest.mark.parametrize("character", ["both", "small", "large", "section_only"])
def test_no_two_rows_of_a_district_share_a_sis_id(character: str) -> None:
    given = [row["sis_id"] for row in rows_of(character, large_schools=3, large_school_days=5) if "sis_id" in row]
    assert len(given) == len(set(given)) > 1000


def test_days_change_late_by_themselves_and_then_stand(sandbox: Sandbox) -> None:
    def said() -> dict[tuple[str, ...], tuple[str, str | None, str]]:
        names = ("attendance_date", "student_id", "school_id")
        return {
            (*(row[name] for name in names), row.get("section_id", "")): (
                row["attendance_status"],
                row.get("excuse_code"),
                row["last_modified"],
            )
            for row in sandbox.expected("both")
        }

    first = said()
    sandbox.sync("both")
    assert said() == first, "the clock has not moved"
    sandbox.advance(days=21, sync=["both"])
    later = said()
    assert first.keys() <= later.keys(), "no row goes"
    changed = {key for key in first if later[key] != first[key]}
    assert 0 < len(changed) < len(first) / 20
    assert any(first[key][:2] != later[key][:2] for key in changed), "not only the stamp"
    assert all(later[key][2] > first[key][2] for key in changed)
    assert min(day for day, *_ in changed) >= "2026-11-09", "two weeks back at most"
    sandbox.advance(days=30, sync=["both"])
    last = said()
    assert {key: last[key] for key in first} == {key: later[key] for key in first}


def test_a_knob_lets_days_stand_as_they_were_first_uploaded(sandbox: Sandbox) -> None:
    sandbox.knobs(late_corrections=False)
    first = sandbox.expected("both")
    sandbox.advance(days=21, sync=["both"])
    assert sandbox.expected("both", date_range_end="2026-11-23") == first
