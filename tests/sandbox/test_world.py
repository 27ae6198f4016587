"""The world: the same for the same seed, full of the cases that real districts have, and bounded by retention."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.sandbox.expected import Due, days_due
from airflow_provider_clever.sandbox.knobs import Knobs
from airflow_provider_clever.sandbox.school_calendar import add_months, is_school_day
from airflow_provider_clever.sandbox.world import District, World, WorldPlan

TODAY = date(2026, 11, 23)


def world(seed: int = 7, **knobs: object) -> World:
    built = World(WorldPlan(seed, TODAY, large_schools=2, large_school_days=5), Knobs())
    built.turn(Knobs().changed(knobs))
    return built


def district(built: World, character: str) -> District:
    return next(d for d in built.districts.values() if d.plan.character == character)


def rows(built: World, character: str) -> list[dict[str, str]]:
    found = district(built, character)
    return [json.loads(row) for _, _, block in days_due(built, found, Due()) for row in block]


FINGERPRINT = """
from datetime import date
from hashlib import sha256
from airflow_provider_clever.sandbox.expected import Due, days_due
from airflow_provider_clever.sandbox.knobs import Knobs
from airflow_provider_clever.sandbox.uploads import sync
from airflow_provider_clever.sandbox.world import World, WorldPlan
built, seen = World(WorldPlan({seed}, date(2026, 11, 23), large_schools=2, large_school_days=5), Knobs()), sha256()
for district in built.districts.values():
    sync(built, district, edits=5, late_rows=5, deletes=5)
    seen.update(f"{{district.id}} {{district.token}}".encode())
    for _, _, block in days_due(built, district, Due()):
        seen.update(b"".join(block))
print(seen.hexdigest())
"""


def fingerprint(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-c", FINGERPRINT.format(seed=seed)]
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_same_seed_gives_the_same_world_in_every_process() -> None:
    assert fingerprint(7, "1") == fingerprint(7, "2") != fingerprint(8, "1")


def test_some_ids_look_like_numbers() -> None:
    small = district(world(), "small")
    assert small.id == "65e000000000000000000001"
    assert any(school.id.isdigit() for school in small.schools)


def test_every_id_is_24_lowercase_hex_digits() -> None:
    for row in rows(world(), "both"):
        for name in ("district_id", "school_id", "student_id", "section_id"):
            assert name not in row or (len(row[name]) == 24 and set(row[name]) <= set("0123456789abcdef"))


@pytest.mark.parametrize(
    ("character", "types"),
    [
        ("section_only", {"section"}),
        ("daily_only", {"daily"}),
        ("both", {"daily", "section"}),
        ("no_section_id", {"section"}),
        ("no_attendance", set()),
        ("paused", {"daily"}),
        ("small", {"daily", "section"}),
        ("large", {"daily", "section"}),
    ],
)
def test_each_district_has_its_character(character: str, types: set[str]) -> None:
    found = rows(world(), character)
    assert {row["attendance_type"] for row in found} == types
    if character == "no_section_id":
        assert not any("section_id" in row for row in found)


def test_the_large_district_has_2000_rows_a_school_day_and_120_retained_days() -> None:
    built = World(WorldPlan(7, TODAY), Knobs())
    large = district(built, "large")
    assert len(large.schools) == 40
    assert {len(built.visible_dates(school)) for school in large.schools} == {120}
    assert len(built.block(large.schools[0], "2026-11-20").rows) == 2000


def test_the_four_part_key_is_unique() -> None:
    for character in ("small", "both", "no_section_id"):
        keys = [
            (r["attendance_date"], r["student_id"], r.get("section_id"), r["school_id"])
            for r in rows(world(), character)
        ]
        assert len(keys) == len(set(keys)), character


def test_colliding_keys_are_a_knob() -> None:
    found = rows(world(colliding_keys=True), "no_section_id")
    seen: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in found:
        seen.setdefault((row["attendance_date"], row["student_id"]), []).append(row)
    twins = [pair for pair in seen.values() if len(pair) == 2]
    assert any(one.get("sis_id") != other.get("sis_id") for one, other in twins)
    assert any(one.get("sis_id") == other.get("sis_id") for one, other in twins)


def test_excuse_codes_are_as_odd_as_in_real_life_and_stand_on_present_rows_too() -> None:
    found = rows(world(), "small") + rows(world(), "large")
    codes = {row.get("excuse_code") for row in found}
    assert {None, "", "病気", "😷 flu", "غياب بعذر", 'He said "ill"', "line one\nline two"} <= codes
    assert any(row["attendance_status"] == "present" and row.get("excuse_code") for row in found)


def test_optional_keys_are_left_out_not_null() -> None:
    found = rows(world(), "both")
    assert any("sis_id" not in row for row in found)
    assert any("section_id" not in row for row in found)
    assert not any(value is None for row in found for value in row.values())


def test_a_school_that_sends_exceptions_only_has_no_present_rows() -> None:
    built = world()
    school = next(s for s in district(built, "small").schools if s.plan.exceptions_only)
    found = [row for row in rows(built, "small") if row["school_id"] == school.id]
    assert found
    assert {row["attendance_status"] for row in found} == {"absent", "tardy"}


def test_a_student_moves_school_in_mid_window() -> None:
    days: dict[str, dict[str, set[str]]] = {}
    for row in rows(world(), "small"):
        days.setdefault(row["student_id"], {}).setdefault(row["school_id"], set()).add(row["attendance_date"])
    (moved,) = [schools for schools in days.values() if len(schools) > 1]
    earlier, later = sorted(moved.values(), key=min)
    assert max(earlier) < min(later)


def test_some_rows_were_edited_after_they_were_created() -> None:
    edited = [row for row in rows(world(), "small") if row["last_modified"] != row["created"]]
    assert edited
    assert all(row["last_modified"] > row["created"] for row in edited)


def test_a_school_has_a_row_count_that_is_an_exact_multiple_of_the_limit() -> None:
    built = world()
    school = next(s for s in district(built, "small").schools if s.plan.name.startswith("Elm"))
    found = [row for row in rows(built, "small") if row["school_id"] == school.id]
    assert len(found) == 500


def test_no_school_on_weekends_and_holidays() -> None:
    days = {date.fromisoformat(row["attendance_date"]) for row in rows(world(retention="off"), "small")}
    assert all(day.weekday() < 5 for day in days)
    assert date(2026, 11, 11) not in days
    assert date(2026, 9, 7) not in days


def test_rows_disappear_six_calendar_months_after_their_date() -> None:
    built = world()
    assert built.first_visible_day() == "2026-05-24"
    alder = district(built, "small").schools[0]
    assert built.visible_dates(alder)[0] == "2026-05-25"
    assert alder.dates[0] < "2026-05-01"
    built.turn(Knobs(retention="off"))
    assert built.visible_dates(alder) == alder.dates
    built.turn(Knobs(retention="days", retention_days=10))
    assert built.first_visible_day() == "2026-11-14"


@settings(deadline=None, max_examples=60)
@given(st.dates(date(2024, 1, 1), date(2032, 12, 31)))
def test_the_edge_of_retention_is_where_date_plus_six_months_reaches_today(today: date) -> None:
    first = date.fromisoformat(World(WorldPlan(7, today, districts=("paused",)), Knobs()).first_visible_day())
    assert add_months(first, 6) > today >= add_months(first - timedelta(days=1), 6)


@settings(deadline=None, max_examples=60)
@given(st.dates(date(2024, 1, 1), date(2032, 12, 31)))
def test_every_week_but_the_last_of_the_year_has_school(day: date) -> None:
    week = [day + timedelta(days=offset) for offset in range(7)]
    assert sum(map(is_school_day, week)) >= 2


def test_an_unknown_district_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="known:"):
        World(WorldPlan(7, TODAY, districts=("tiny",)), Knobs())


def test_memory_is_bounded_however_many_days_are_read() -> None:
    built = World(WorldPlan(7, TODAY, districts=("large",)), Knobs())
    for school in district(built, "large").schools[:2]:
        for day in school.dates:
            built.block(school, day)
    assert sum(len(block.keys) for block in built._blocks.values()) <= 120_000
