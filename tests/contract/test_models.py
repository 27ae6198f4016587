"""The models and the requests of the client agree with the statement, which was written without them."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.api import endpoints
from airflow_provider_clever.attendance.schema import ATTENDANCE_STATUSES, ATTENDANCE_TYPES, PULLED_COLUMNS
from airflow_provider_clever.models import AttendanceRecord, District, School, Section
from tests.contract.statement import DOCUMENT, SCHEMAS, problems, resolved, values_of

MODELS = {"AttendanceRecord": AttendanceRecord, "District": District, "School": School, "Section": Section}
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_no_field_that_the_statement_does_not_know(name: str) -> None:
    assert set(MODELS[name].model_fields) - set(SCHEMAS[name]["properties"]) == set()


def test_the_record_the_columns_and_the_statement_have_the_same_fields() -> None:
    stated = set(SCHEMAS["AttendanceRecord"]["properties"])
    assert set(AttendanceRecord.model_fields) == stated
    assert set(PULLED_COLUMNS) - {"_extra"} == stated


def test_the_known_values_are_the_stated_ones() -> None:
    fields = SCHEMAS["AttendanceRecord"]["properties"]
    assert set(resolved(fields["attendance_status"])["enum"]) == ATTENDANCE_STATUSES
    assert set(fields["attendance_type"]["enum"]) == ATTENDANCE_TYPES


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@FAST
def test_a_model_reads_whatever_the_statement_allows(name: str, data: st.DataObject) -> None:
    value = data.draw(values_of(SCHEMAS[name]))
    assert problems(SCHEMAS[name], value) == []
    read = MODELS[name].model_validate(value)
    assert read.model_dump()["id" if name != "AttendanceRecord" else "student_id"] in value.values()


@given(data=st.data())
@FAST
def test_a_record_keeps_every_stated_value_and_what_is_added_later(data: st.DataObject) -> None:
    value: dict[str, Any] = data.draw(values_of(SCHEMAS["AttendanceRecord"]))
    read = AttendanceRecord.model_validate({**value, "minutes": 12})
    assert read.model_extra == {"minutes": 12}
    assert read.attendance_date == date.fromisoformat(value["attendance_date"])
    for name in ("attendance_status", "attendance_type", "district_id", "school_id", "student_id"):
        assert getattr(read, name) == value[name]
    for name in ("section_id", "excuse_code", "sis_id"):
        assert getattr(read, name) == (value.get(name) or None)
    for name in ("created", "last_modified"):
        assert getattr(read, name).isoformat(timespec="milliseconds") == value[name].replace("Z", "+00:00")


@given(name=st.sampled_from(["attendance_date", "district_id", "school_id", "student_id"]), data=st.data())
@FAST
def test_a_record_without_what_identifies_it_is_refused(name: str, data: st.DataObject) -> None:
    value: dict[str, Any] = data.draw(values_of(SCHEMAS["AttendanceRecord"]))
    del value[name]
    with pytest.raises(ValueError, match=name):
        AttendanceRecord.model_validate(value)


ORIGIN = "https://api.clever.com"
ID = "65e000000000000000000001"
QUERY = endpoints.AttendanceQuery(
    school_id=ID, date_range_start="2026-11-01", date_range_end="2026-11-20", attendance_status="absent"
)
OF_A_SECTION = endpoints.AttendanceQuery(section_id=ID, date_range_start="2026-11-01", date_range_end="2026-11-20")
REQUESTS = {
    "/v3.1/attendance/schools/{school_id}": endpoints.attendance_request(ORIGIN, QUERY, starting_after="YQ=="),
    "/v3.1/attendance/sections/{section_id}": endpoints.attendance_request(ORIGIN, OF_A_SECTION, ending_before="YQ=="),
    "/v3.1/districts": endpoints.districts_request(ORIGIN),
    "/v3.1/schools": endpoints.schools_request(ORIGIN),
    "/v3.1/sections": endpoints.sections_request(ORIGIN),
    "/v3.1/schools/{id}/sections": endpoints.sections_request(ORIGIN, ID),
    "/oauth/tokens": endpoints.tokens_request(ORIGIN, ID),
}


@pytest.mark.parametrize("path", REQUESTS)
def test_the_client_asks_only_what_is_stated(path: str) -> None:
    request = REQUESTS[path]
    assert path.replace("{school_id}", ID).replace("{section_id}", ID).replace("{id}", ID) == request.path
    operation = DOCUMENT["paths"][path]["get"]
    stated = {p["name"]: p["schema"] for p in map(resolved, operation["parameters"]) if p["in"] == "query"}
    for name, (text,) in parse_qs(request.query, strict_parsing=bool(request.query)).items():
        value: object = int(text) if resolved(stated[name]).get("type") == "integer" else text
        assert problems(stated[name], value) == []
