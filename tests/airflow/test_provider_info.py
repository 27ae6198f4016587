"""What Airflow reads about the provider."""

import importlib.util
import json
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from airflow_provider_clever.attendance.values import ID_PATTERN
from airflow_provider_clever.get_provider_info import get_provider_info
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.operators import clever as operators
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
from tests.support.airflow import AirflowHome

OPERATORS = [*(getattr(operators, name) for name in operators.__all__), CleverAttendanceSyncSensor]


@pytest.fixture(scope="module")
def info() -> dict[str, Any]:
    return get_provider_info()


def schema(name: str) -> dict[str, Any]:
    return json.loads(files("airflow").joinpath(name).read_text())


def test_airflows_entry_point_leads_to_it(info):
    (entry,) = (e for e in entry_points(group="apache_airflow_provider") if e.dist.name == info["package-name"])
    assert entry.load()() == info


def test_it_fits_airflows_schemas(info):
    jsonschema.validate(info, schema("provider_info.schema.json"))
    connection_types = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(info["connection-types"], connection_types)


def test_every_module_that_it_names_exists(info):
    named = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info.get(kind, ())
        for module in entry["python-modules"]
    ]
    assert named
    assert [module for module in named if importlib.util.find_spec(module) is None] == []


def test_the_connection_type_is_the_hooks_own(info):
    (declared,) = info["connection-types"]
    assert declared["hook-class-name"] == f"{CleverHook.__module__}.{CleverHook.__qualname__}"
    assert (declared["connection-type"], declared["hook-name"]) == (CleverHook.conn_type, CleverHook.hook_name)
    assert declared["conn-fields"]["district_id"]["schema"]["pattern"] == ID_PATTERN


def test_the_links_that_it_names_are_those_of_the_operators(info):
    carried = [type(link) for one in OPERATORS for link in one.operator_extra_links]
    assert {f"{link.__module__}.{link.__name__}" for link in carried} == {*info["extra-links"]}
    for one in OPERATORS:
        assert one.operator_extra_links or "destination" not in one.template_fields, one


def test_every_list_that_a_template_can_fill_is_shown_as_json():
    for one in OPERATORS:
        lists = {name for name, rule in getattr(one, "argument_rules", {}).items() if rule is arguments.ids}
        assert lists & {*one.template_fields} == {*one.template_fields_renderers}, one


def test_airflow_lists_the_provider_and_its_hook(airflow_home: AirflowHome):
    providers = airflow_home.json_of("providers", "list")
    assert "airflow-provider-clever" in {provider["package_name"] for provider in providers}
    hooks = airflow_home.json_of("providers", "hooks")
    (clever,) = (hook for hook in hooks if hook["connection_type"] == "clever")
    links = airflow_home.command("providers", "links", "--output", "json", is_read_only=True)
    assert "airflow_provider_clever.plugins.links" in links.stdout
    assert clever["conn_id_attribute_name"] == "clever_conn_id"
    assert clever["class"] == f"{CleverHook.__module__}.{CleverHook.__qualname__}"
