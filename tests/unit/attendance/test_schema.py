"""The one schema: what of it can never change, and what is derived from it."""

import pytest

from airflow_provider_clever.attendance import schema
from airflow_provider_clever.attendance.schema import COLUMNS, AttendanceRecord
from tests.support import columns_table

SCHEMA_1 = {
    "attendance_date": "date",
    "student_id": "id",
    "section_id": "id",
    "attendance_type": "text",
    "attendance_status": "text",
    "excuse_code": "text",
    "sis_id": "text",
    "school_id": "id",
    "district_id": "id",
    "created": "timestamp",
    "last_modified": "timestamp",
    "missing_since": "timestamp",
    "_extra": "json",
}


def test_the_columns_of_schema_1_keep_their_names_their_kinds_and_their_order() -> None:
    assert {column.name: column.kind for column in COLUMNS if column.since == 1} == SCHEMA_1
    assert schema.names_of(1) == tuple(SCHEMA_1)


def test_a_column_that_came_later_may_be_null_and_is_no_key() -> None:
    later = [column for column in COLUMNS if column.since > 1]
    assert [column.name for column in later if column.required or column.role != "value"] == []


def test_each_version_has_columns_of_its_own_so_that_json_lines_tell_it() -> None:
    versions = range(1, schema.SCHEMA_VERSION + 1)
    assert [schema.version_of(schema.names_of(version)) for version in versions] == list(versions)
    assert schema.version_of(("something", "else")) is None


def test_what_is_about_one_student_is_said_of_each_column() -> None:
    assert {column.name for column in COLUMNS if column.personal} >= {
        "student_id",
        "attendance_status",
        "excuse_code",
        "sis_id",
        "_extra",
    }


@pytest.mark.parametrize("field", AttendanceRecord.model_fields)
def test_no_personal_value_is_printed(field: str) -> None:
    values = {name: "canary-value" for name, kind in SCHEMA_1.items() if kind in ("id", "text")}
    record = AttendanceRecord(**values | {"attendance_date": "2026-04-01", "school_id": "s"})
    personal = {column.name for column in COLUMNS if column.personal}
    assert field not in personal or "canary" not in repr(record)


def test_the_table_of_columns_in_the_documentation_is_the_schemas() -> None:
    assert columns_table.in_page() == columns_table.table(), "run python -m tests.support.columns_table"
