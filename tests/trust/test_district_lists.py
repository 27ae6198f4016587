"""A list of districts gives a DAG for each, or one typed error that says what is wrong: never fewer in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.dags import DistrictDag, attendance_dags, districts_from_variable
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
    "a word for a promise": (ONE + "    single_writer: 'yes'\n", "district 1: single_writer"),
    "a store without compare-and-swap": (
        ONE.replace("s3://aws_default@lake", "hdfs://lake"),
        "district 1: destination",
    ),
    "a number for a flag": (ONE + "    fail_on_quarantine: 0\n", "district 1: fail_on_quarantine"),
    "no pull at once": (ONE + "    parallel_pulls: 0\n", "district 1: parallel_pulls"),
    "fewer than no requests": (ONE + "    max_concurrency: -1\n", "district 1: max_concurrency"),
    "a wait for ever": (ONE + "    wait_hours: .inf\n", "district 1: wait_hours"),
    "no wait": (ONE + "    wait_hours: 0.0\n", "district 1: wait_hours"),
    "no cron expression": (ONE + "    schedule: every night\n", "is no cron expression"),
    "a DAG id with blanks": (ONE + "    dag_id: my dag\n", "district 1: dag_id"),
    "an id that YAML takes for a number": (ONE.replace(f'"{A}"', "65000"), "district 1: district_id"),
    "a day that never comes": (ONE + "    schedule: 0 3 30 2 *\n", "names a day that never comes"),
    "more requests than a pull takes": (ONE + "    max_concurrency: 65000\n", "district 1: max_concurrency"),
    "a wait longer than Airflow can count": (ONE + "    wait_hours: 1.0e+308\n", "district 1: wait_hours"),
    "an empty connection": (ONE + "    clever_conn_id: ''\n", "district 1: clever_conn_id"),
    "a connection of blanks": (ONE + "    clever_conn_id: ' '\n", "district 1: clever_conn_id"),
    "a name that no database takes": (ONE + '    name: "a\\0b"\n', "district 1: name"),
    "a name without an end": (ONE + f"    name: {'a' * 5000}\n", "district 1: name"),
    "a tab for blanks": (ONE.replace("    dest", "\tdest"), "cannot be read as YAML"),
    "two documents": (ONE + "---\n" + ONE, "cannot be read as YAML"),
    "an alias of nothing": ("districts: [*nothing]", "undefined alias"),
    "a list within itself": ("districts: &list [*list]", "cannot be read as YAML"),
    "a mapping for a list": (f"districts: {{'{A}': {{}}}}", "districts: must be a list"),
    "a weekday that YAML takes for False": (ONE + "    sweep_weekday: no\n", "district 1: sweep_weekday"),
    "defaults below defaults": ("defaults: {defaults: {timezone: UTC}}\n" + ONE, "district 1: defaults"),
    "one district for all": (
        f"defaults: {{district_id: '{A}', destination: 's3://a@b/c'}}\ndistricts: [{{name: a}}, {{name: b}}]",
        "district 2: clever_attendance_65e000000000000000000001 stands in the list already",
    ),
    "no text": ("", "holds neither a list of districts"),
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


@pytest.mark.parametrize(
    "data",
    [b"\xef\xbb\xbf" + ONE.encode(), ONE.replace("\n", "\r\n").encode(), b"---\n" + ONE.encode() + b"...\n"],
    ids=["a BOM", "line ends of Windows", "a document with both ends"],
)
def test_what_editors_add_to_a_file_does_not_matter(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "districts.yaml"
    file.write_bytes(data)
    assert list(attendance_dags(file)) == [f"clever_attendance_{A}"]


@pytest.mark.parametrize("name", ["", "nowhere.yaml", "a\0b", "x" * 5000, "/dev/null", "/"])
def test_a_file_that_cannot_be_read_is_told(name: str) -> None:
    with pytest.raises(CleverSettingsError):
        attendance_dags(name)


@pytest.mark.parametrize("defaults", [["a"], "a", 5, {("a",): 1}, {"lookback": 3}])
def test_defaults_that_are_none_are_told(defaults: Any) -> None:
    with pytest.raises(CleverSettingsError):
        attendance_dags([{"district_id": A, "destination": "s3://a@b/c"}], defaults=defaults)


@pytest.mark.parametrize("text", ["", "x", "5", "null", "{}", '{"districts": []}', "[" * 3000])
def test_a_variable_that_lists_no_districts_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_DISTRICTS", text)
    with pytest.raises(CleverSettingsError, match="The Variable districts holds no list"):
        districts_from_variable("districts")


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
