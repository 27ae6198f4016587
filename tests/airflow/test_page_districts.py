"""Which districts the coverage page finds in a DAG."""

from typing import Any

import pytest

from airflow_provider_clever.plugins.discovery import districts_in

DISTRICT = "5f0c0a000000000000000001"


def serialized(**fields: Any) -> dict[str, Any]:
    return {"dag": {"tasks": [{"__type": "operator", "__var": {"task_type": "CleverAttendanceOperator", **fields}}]}}


@pytest.mark.parametrize(
    ("destination", "is_shown"),
    [
        ("s3://aws_default@bucket/lake", True),
        ("{{ var.value.lake }}", False),
        ("{% if params.test %}file:///test{% else %}file:///lake{% endif %}", False),
        ("", False),
    ],
)
def test_a_destination_that_only_a_run_renders_is_left_out(destination: str, is_shown: bool) -> None:
    found = list(districts_in("a_dag", serialized(district_id=DISTRICT, destination=destination)))
    assert bool(found) is is_shown
