"""The assets that say what landed: one identity each, nothing secret, and nothing heavy imported for them."""

import subprocess
import sys
from datetime import date
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.assets import landed_asset, landed_days, ranges_from_text, table_asset, text_of_ranges
from airflow_provider_clever.dates import date_ranges, days_of
from airflow_provider_clever.exceptions import CleverSettingsError

DISTRICT = "65e000000000000000000001"
S3 = f"s3://my-lake/clever/attendance/district={DISTRICT}"


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        ("s3://aws_default@my-lake/clever", S3),
        ("s3://my-lake/clever/", S3),
        ("s3a://another@my-lake/clever", S3),
        ("gcs://my-lake", f"gs://my-lake/attendance/district={DISTRICT}"),
        ("abfss://conn@lake/a", f"abfs://lake/a/attendance/district={DISTRICT}"),
        ("file:///data/clever", f"file:///data/clever/attendance/district={DISTRICT}"),
        ("file:///data/Schüler eins", f"file:///data/Sch%C3%BCler%20eins/attendance/district={DISTRICT}"),
        ("sftp://conn@host/a", f"sftp://host/a/attendance/district={DISTRICT}"),
    ],
)
def test_a_district_at_one_place_is_one_asset_however_the_place_is_written(destination: str, name: str) -> None:
    asset = landed_asset(destination, DISTRICT)
    assert (asset.name, asset.uri) == (name, f"x-clever+{name}")
    assert Asset(name=asset.name, uri=asset.uri) == asset  # Airflow takes the URI as it is
    assert asset.uri.isascii()


def test_districts_tables_and_destinations_have_assets_of_their_own() -> None:
    assets = [
        landed_asset("s3://a/b", "d1"),
        landed_asset("s3://a/b", "d2"),
        landed_asset("s3://a/c", "d1"),
        table_asset("s3://a/b"),
        table_asset("s3://a/b", "iceberg"),
        table_asset("s3://a/c"),
    ]
    assert len({asset.uri for asset in assets}) == len({asset.name for asset in assets}) == len(assets)


@pytest.mark.parametrize("destination", ["{{ var.value.lake }}", "", "lake", "s3://user:hunter2@a/b", "memory://a"])
def test_what_is_no_destination_has_no_asset_and_shows_no_password(destination: str) -> None:
    with pytest.raises(CleverSettingsError, match="destination") as caught:
        landed_asset(destination, DISTRICT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("district_id", ["", "a/b", "{{ params.district_id }}", None, 65])
def test_what_is_no_district_has_no_asset(district_id: object) -> None:
    with pytest.raises(CleverSettingsError, match="district_id"):
        landed_asset("s3://a/b", district_id)  # type: ignore[arg-type]


@given(st.sets(st.dates(date(2024, 1, 1), date(2027, 12, 31))))
def test_the_days_of_an_event_are_read_as_they_were_written(days: set[date]) -> None:
    text = text_of_ranges(date_ranges(days))
    assert list(days_of(ranges_from_text(text))) == sorted(days)


def test_events_of_several_pulls_are_joined_and_those_of_others_are_passed_over() -> None:
    extras = [
        {"changed_days": "2026-11-16/2026-11-18 2026-11-23"},
        {"changed_days": "2026-11-17/2026-11-19"},
        {"from": "the UI"},
        {},
        None,
    ]
    days = landed_days(SimpleNamespace(extra=extra) for extra in extras)
    assert [str(day) for day in days] == ["2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19", "2026-11-23"]
    with pytest.raises(ValueError, match="date"):
        landed_days([SimpleNamespace(extra={"changed_days": "yesterday"})])


def test_an_asset_of_an_object_store_imports_nothing_heavy() -> None:
    code = (
        "import sys; from airflow.sdk import Asset, AssetAlias; before = set(sys.modules);"
        "from airflow_provider_clever.assets import landed_asset; landed_asset('s3://a/b', 'd1');"
        "print(sorted({'boto3', 'requests', 'pyarrow', 'aiohttp'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stderr
