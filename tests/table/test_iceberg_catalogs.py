"""The catalog comes from an Airflow connection, or needs nothing; what is wrong with it is said without a secret."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.hooks.iceberg import iceberg_catalog
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import open_catalog
from airflow_provider_clever.table.iceberg.table import IcebergTable
from tests.lake.builders import DISTRICT
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import bring_up_to_date, in_order, landed
from tests.table.lakes import at, land
from tests.table.rest_catalog import CREDENTIAL, RestCatalog, rest_catalog

SECRET = "a made-up key that is long enough to be one"
WANTED = "66aaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[RestCatalog]:
    with rest_catalog(tmp_path / "served") as served:
        yield served


def connect(monkeypatch: pytest.MonkeyPatch, extra: Any = None, conn_type: str = "iceberg", **fields: Any) -> None:
    defined = {"conn_type": conn_type, **fields, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CATALOG", json.dumps(defined))


def connected(store: Store, table: str = "school.attendance") -> IcebergTable:
    return IcebergTable(iceberg_catalog(destination_url(f"file://{store.root}"), "catalog", table))


def rows_of(store: Store) -> Any:
    settings = iceberg_catalog(destination_url(f"file://{store.root}"), "catalog", "school.attendance")
    return in_order(open_catalog(settings).load_table(settings.table).scan().to_arrow().to_pylist())


def test_a_rest_catalog_from_a_connection_of_type_iceberg(
    local: Store, rest: RestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=f"{rest.url}/", login=CREDENTIAL[0], password=CREDENTIAL[1])
    land(local, "2026-04-01", "ab")
    table = connected(local)
    bring_up_to_date(local, table)
    land(local, "2026-05-01", "ab")
    bring_up_to_date(local, table)
    assert rows_of(local) == landed(local)
    assert not Path(local.root, "iceberg").exists()
    assert table.registration == {"kind": "iceberg", "catalog": "catalog", "table": "school.attendance"}


def test_a_commit_whose_answer_got_lost_is_made_once(
    local: Store, rest: RestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=rest.url, login=CREDENTIAL[0], password=CREDENTIAL[1])
    land(local, "2026-04-01", "ab")
    bring_up_to_date(local, connected(local))
    land(local, "2026-04-02", "ab")
    before, rest.lose_answers = rest.commits, 1
    bring_up_to_date(local, connected(local))
    assert rest.commits == before + 1
    assert rows_of(local) == landed(local)


def test_a_commit_that_met_another_one_is_made_again_with_the_cursors_that_stand_then(
    local: Store, rest: RestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=rest.url, login=CREDENTIAL[0], password=CREDENTIAL[1])
    other = "65e000000000000000000002"
    land(local, "2026-04-01", "ab")
    bring_up_to_date(local, connected(local))
    land(local, "2026-05-01", "ab")
    land(local, "2026-05-01", "ab", district=other)

    def meanwhile() -> None:
        rest.before_commit.clear()
        bring_up_to_date(local, connected(local), [other])

    rest.before_commit.append(meanwhile)
    bring_up_to_date(local, connected(local), [DISTRICT])
    assert rows_of(local) == landed(local)
    assert {*connected(local).cursors(None)} == {DISTRICT, other}
    assert bring_up_to_date(local, connected(local)).written == {}


def test_a_warehouse_on_s3_with_a_sql_catalog_forgets_older_versions_too(
    local: Store, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("CLEVER_FORGET_SECRET", SECRET)
    client = boto3.client(
        "s3", endpoint_url=s3.url, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    client.create_bucket(Bucket="warehouse")
    client.put_bucket_versioning(Bucket="warehouse", VersioningConfiguration={"Status": "Enabled"})
    connect(
        monkeypatch,
        {
            "type": "sql",
            "uri": f"sqlite:///{tmp_path}/catalog.db",
            "warehouse": "s3://warehouse/iceberg",
            "s3.endpoint": s3.url,
            "s3.access-key-id": "made-up",
            "s3.secret-access-key": "made-up",
            "s3.region": "us-east-1",
        },
        conn_type="generic",
    )
    land(local, "2026-04-01", [WANTED, "b"])
    table = connected(local)
    bring_up_to_date(local, table)
    assert rows_of(local) == landed(local)
    Forgetting(at(local), DISTRICT, longest_task_hours=0).students([WANTED])
    bring_up_to_date(local, table)
    assert table.forget_past(DISTRICT) == []
    assert rows_of(local) == landed(local)
    kept = client.list_object_versions(Bucket="warehouse")["Versions"]
    bodies = [
        client.get_object(Bucket="warehouse", Key=one["Key"], VersionId=one["VersionId"])["Body"].read() for one in kept
    ]
    assert not [one for one in bodies if WANTED[:12].encode() in one]
    assert len([one for one in kept if one["Key"].endswith(".parquet")]) == 1
    pyarrow.fs.finalize_s3()


# --- what can be wrong ------------------------------------------------------------------------------------------------


def said(store: Store, error: type[Exception]) -> str:
    land(store, "2026-04-01", "a")
    with pytest.raises(error) as raised:
        bring_up_to_date(store, connected(store))
    shown = f"{raised.value}{raised.value.__cause__ or ''}"
    assert "a-made-up" not in shown
    return shown


def test_what_is_wrong_with_the_catalog_is_said_with_the_next_step(
    local: Store, rest: RestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CleverSettingsError, match="no Airflow connection catalog"):
        connected(local)
    connect(monkeypatch, host=rest.url, login="an-id", password="a-made-up-wrong-one")
    assert "refuses the credentials" in said(local, CleverSettingsError)
    connect(monkeypatch, host=rest.url)
    assert "refuses the credentials" in said(local, CleverSettingsError)
    connect(monkeypatch, {"type": "nothing", "uri": "x://a-made-up"})
    assert "Write its type" in said(local, CleverSettingsError)
    connect(monkeypatch, {"type": "sql"})
    said(local, CleverSettingsError)
    connect(monkeypatch, {"type": "sql", "uri": "nosuch://me:a-made-up@localhost/x"})
    assert "of no use" in said(local, CleverSettingsError)
    connect(monkeypatch, {"type": "hive", "uri": "thrift://localhost:1"})
    assert "pip install 'pyiceberg[hive]'" in said(local, CleverSettingsError)
    connect(monkeypatch, host="http://127.0.0.1:1", password="a-made-up-token")
    assert "cannot be reached" in said(local, CleverLandingError)


def test_a_district_is_not_said_to_be_forgotten_where_the_catalog_cannot_be_reached(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host="http://127.0.0.1:1", password="a-made-up-token")
    (left,) = connected(local).forget_past(DISTRICT)
    assert "cannot be reached" in left


@pytest.mark.parametrize("table", ["attendance", ".attendance", "a..b", "a.b/c", "a.b c", "."])
def test_a_table_without_a_namespace_is_refused(table: str) -> None:
    with pytest.raises(CleverSettingsError, match="write its namespace and its name"):
        iceberg_catalog(destination_url("file:///data/clever"), None, table)


def test_the_embedded_catalog_is_refused_for_what_is_no_local_path() -> None:
    with pytest.raises(CleverSettingsError, match="only works beside a warehouse on this machine's own disk"):
        iceberg_catalog(destination_url("s3://aws@bucket/prefix"), None)


def test_without_pyiceberg_the_command_that_installs_it_is_said(local: Store) -> None:
    program = f"""
import sys
sys.modules["pyiceberg"] = None
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.table.iceberg.catalogs import embedded_catalog, open_catalog
open_catalog(embedded_catalog(destination_url("file://{local.root}")))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr.endswith("Run: pip install 'airflow-provider-clever[iceberg]'\n")


@pytest.mark.parametrize("name", ["with blanks", "schüler", "a'b"])
def test_a_destination_may_be_called_anything_that_a_folder_can(tmp_path: Path, name: str) -> None:
    from tests.table.iceberg_lakes import embedded, read

    store = Store("file", str(tmp_path / name))
    land(store, "2026-04-01", "ab")
    bring_up_to_date(store, embedded(store))
    assert read("pyiceberg", store) == [landed(store)]
