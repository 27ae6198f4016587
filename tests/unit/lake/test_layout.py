"""Paths: what may stand in one, and what one says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import CleverDataError, CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey

IDS = st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True)


@given(IDS, st.dates().map(str), IDS, st.sampled_from(["parquet", "jsonl"]))
def test_a_path_says_again_what_it_was_made_of(district: str, day: str, school: str, file_format: str) -> None:
    path = layout.partition_path(district, day, school, file_format)
    assert layout.parse_partition_path(path) == (district, day, school, file_format)


@pytest.mark.parametrize("bad", ["", "../x", "a/b", "a\n", "a b", "é", "x" * 65, ".", "a=b"])
def test_an_id_that_could_leave_its_folder_is_refused_and_not_quoted(bad: str) -> None:
    for arguments in ((bad, "2026-01-01", "s"), ("d", "2026-01-01", bad)):
        with pytest.raises(CleverDataError, match=r"^a (district|school) id holds characters that may not enter"):
            layout.partition_path(*arguments, "parquet")


@pytest.mark.parametrize("bad", ["2026-1-1", "20260101", "2026-W01-1", "2026-02-30", "../2026", ""])
def test_a_date_that_is_not_canonical_is_refused(bad: str) -> None:
    with pytest.raises(CleverDataError):
        layout.partition_path("d", bad, "s", "parquet")


@pytest.mark.parametrize(
    "path",
    [
        "attendance/district=d/date=2026-01-01/school-s.csv",
        "attendance/district=d/date=2026-1-1/school-s.parquet",
        "attendance/district=d/school-s.parquet",
        "attendance/district=d/date=2026-01-01/.school-s.parquet.tmp",
        "attendance/district=d/date=2026-01-01/school-a.b.parquet",
        "_clever/district=d/coverage.json",
    ],
)
def test_other_paths_name_no_partition(path: str) -> None:
    assert layout.parse_partition_path(path) is None


def test_another_format_is_refused_with_the_choices() -> None:
    with pytest.raises(CleverSettingsError, match="'parquet', 'jsonl'"):
        layout.checked_format("csv")


@pytest.mark.parametrize(
    "key",
    [IdempotencyKey("x" * 20, "2026-01"), IdempotencyKey("a" * 20, "2026-13"), IdempotencyKey("../a", "2026-01")],
)
def test_a_key_that_cannot_stand_in_a_path_is_refused(key: IdempotencyKey) -> None:
    with pytest.raises(CleverSettingsError):
        key.checked()
