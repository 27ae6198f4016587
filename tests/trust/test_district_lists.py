"""A list of districts gives a DAG for each, or one typed error that says what is wrong: never fewer in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.dags import DistrictDag, attendance_dags
from airflow_provider_clever.exceptions import CleverSettingsError

A = "65e000000000000000000001"
ONE = f"""districts:
  - district_id: "{A}"
    destination: s3://aws_default@lake/clever
"""

WRONG = {
    "a misspelt key above the list": (ONE.replace("districts:", "district:"), "keys that mean nothing: district"),
    "a key beside the list": (ONE + "timezone: UTC\n", "keys that mean nothing: timezone"),
    "a list that stands twice": (ONE + ONE, "a key twice in one place: districts"),
    "a key of a district that stands twice": (ONE + f'    district_id: "{A}"\n', "twice in one place: district_id"),
    "a misspelt key of a district": (ONE + "    lookback: 3\n", "district 1: lookback"),
    "a misspelt default": ("defaults: {sweep: monday}\n" + ONE, "district 1: sweep"),
    "defaults that are none": ("defaults: [3]\n" + ONE, "defaults: must be keys and values"),
    "an empty list": ("districts: []", "is empty"),
    "no list": ("defaults: {}", "districts: must be a list"),
    "a word for a list": ("districts: none", "districts: must be a list"),
    "a word for a district": ("districts: [none]", "district 1: must be keys and values"),
    "no pull at once": (ONE + "    parallel_pulls: 0\n", "district 1: parallel_pulls"),
    "fewer than no requests": (ONE + "    max_concurrency: -1\n", "district 1: max_concurrency"),
    "a wait for ever": (ONE + "    wait_hours: .inf\n", "district 1: wait_hours"),
    "no wait": (ONE + "    wait_hours: 0.0\n", "district 1: wait_hours"),
    "no cron expression": (ONE + "    schedule: every night\n", "is no cron expression"),
    "a DAG id with blanks": (ONE + "    dag_id: my dag\n", "district 1: dag_id"),
    "an id that YAML takes for a number": (ONE.replace(f'"{A}"', "65000"), "district 1: district_id"),
    "YAML that breaks off": ("districts: [", "cannot be read as YAML"),
    "YAML that is no text": ("\x00\x01", "cannot be read as YAML"),
    "YAML that is too deep": ("[" * 3000, "cannot be read as YAML"),
    "YAML that runs code": ("!!python/object/apply:os.getcwd []", "cannot be read as YAML"),
    "an unhashable key": (ONE + "    ? [a]\n    : b\n", "cannot be read as YAML"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_thing_that_is_wrong_with_a_file_is_named(tmp_path: Path, kind: str) -> None:
    text, words = WRONG[kind]
    file = tmp_path / "districts.yaml"
    file.write_text(text)
    with pytest.raises(CleverSettingsError) as told:
        attendance_dags(file)
    assert words in str(told.value)


def test_a_file_with_anchors_and_merged_keys_is_read(tmp_path: Path) -> None:
    file = tmp_path / "districts.yaml"
    shared = "defaults: &shared {destination: 's3://a@b/c'}\n"
    file.write_text(shared + f"districts:\n  - <<: *shared\n    district_id: '{A}'\n    night: 01:00-02:00\n")
    assert list(attendance_dags(file)) == [f"clever_attendance_{A}"]


@pytest.mark.parametrize("districts", [None, 5, {}, [], [None], [5], ["x"], {"districts": []}, b"x"])
def test_a_list_that_is_none_is_told(districts: Any) -> None:
    with pytest.raises(CleverSettingsError):
        attendance_dags(districts)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = (*DistrictDag.model_fields, "typo")
districts = st.builds(
    lambda number, odd: {"district_id": f"{number:024x}", "destination": "s3://a@b/c", **odd},
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(districts | values, max_size=4) | values, st.booleans())
def test_any_list_gives_as_many_dags_as_it_has_districts_or_a_typed_error(
    tmp_path: Path, listed: Any, in_a_file: bool
) -> None:
    source = listed
    if in_a_file:
        source = tmp_path / "drawn.yaml"
        source.write_text(json.dumps({"districts": listed}))
    elif isinstance(listed, str):
        return  # the name of a file
    try:
        dags = attendance_dags(source)
    except CleverSettingsError:
        return
    assert len(dags) == len(listed) > 0
