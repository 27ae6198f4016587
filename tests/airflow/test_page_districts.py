"""Which districts the coverage page finds, and whom it shows them."""

from typing import Any

import pytest

from airflow_provider_clever.plugins.discovery import districts_in, shown
from airflow_provider_clever.ui.views import District

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


def test_a_district_is_hidden_with_its_dag_even_if_its_destination_is_configured() -> None:
    own, others, nobodys = (District(district_id=f"{number:024x}", destination="file:///lake") for number in range(3))
    configured = [District(district_id=f"{number:024x}", destination="file:///lake/") for number in range(3)]
    found = shown([own], {own.district_id, others.district_id}, [own, others, nobodys])
    assert found == [own, nobodys]
    found = shown([own], {own.district_id, others.district_id}, configured)  # the same place, written otherwise
    assert {one.district_id for one in found} == {own.district_id, nobodys.district_id}
