"""What is forgotten is in no file of the Iceberg warehouse any more, not even as the bound of a column."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table.update import SetSnapshotRefUpdate

from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.hooks.tables import open_registered
from airflow_provider_clever.table.registry import register, registry_path
from tests.lake.builders import DISTRICT
from tests.lake.emulators import Store
from tests.table.iceberg_lakes import bring_up_to_date, embedded, folder, in_catalog, landed, read
from tests.table.lakes import at, land

WANTED, OTHER = "66aaaaaaaaaaaaaaaaaaaaaa", "66bbbbbbbbbbbbbbbbbbbbbb"
TWIN = f"{DISTRICT[:16]}99999999"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", "a made-up key that is long enough to be one")


def forgetting(store: Store) -> Forgetting:
    """As the command and the operator forget: they can open the tables that are registered."""
    place = open_destination(f"file://{store.root}")
    opener = partial(open_registered, place)
    return Forgetting(place.objects, DISTRICT, longest_task_hours=0, open_table=opener)


def fill(store: Store) -> None:
    """The student is the first and the last of a month, so that any bound would be his."""
    for district in (DISTRICT, TWIN):
        land(store, "2026-03-31", [OTHER], district=district)
    land(store, "2026-04-01", [WANTED], sis_id=WANTED[:14], excuse_code=WANTED)
    land(store, "2026-04-02", [WANTED, OTHER])


def footer(path: Path) -> bytes:
    """What a Parquet file says besides its pages: footer and page index."""
    data = path.read_bytes()
    groups = pq.read_metadata(path)
    ends = [
        column.total_compressed_size + min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
        for group in map(groups.row_group, range(groups.num_row_groups))
        for column in map(group.column, range(groups.num_columns))
    ]
    return data[max(ends) :]


def texts(store: Store) -> Iterator[tuple[Path, str]]:
    """Every file of the warehouse as it stands, and decompressed."""
    for path in sorted(Path(store.root, "iceberg").rglob("*")):
        if not path.is_file():
            continue
        yield path, path.read_bytes().decode("latin-1")
        if path.suffix == ".avro":
            with AvroFile(PyArrowFileIO().new_input(str(path))) as records:  # type: ignore[var-annotated]
                yield path, repr([record._data for record in records])
        elif path.suffix == ".parquet":
            yield path, repr(pq.read_table(path).to_pylist())


def mentions(store: Store) -> set[str]:
    """The kinds of file that hold the student's id, or what it begins with."""
    return {path.suffix for path, text in texts(store) if WANTED[:12] in text}


def test_no_bound_of_a_personal_column_leaves_the_data_files(local: Store) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    assert mentions(local) == {".parquet"}
    for path in folder(local).rglob("*.parquet"):
        said = footer(path)
        assert b"66aaaaaaaaaa" not in said
        assert DISTRICT[:16].encode() in said  # other bounds are there


def test_a_student_is_gone_from_every_file_once_the_past_is_forgotten(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    land(local, "2026-04-03", [WANTED])
    bring_up_to_date(local, table)
    orphan = folder(local) / "data" / f"{DISTRICT}-2026-04-{'0' * 32}.parquet"
    orphan.write_bytes(next(folder(local).rglob(f"{DISTRICT}-2026-04-*.parquet")).read_bytes())
    receipt = forgetting(local).students([WANTED])
    assert (receipt.state, receipt.unreached) == ("final", ())
    assert "table:embedded/iceberg/clever.attendance/2026-04" in receipt.touched
    assert mentions(local) == set()
    assert read("pyiceberg", local) == [landed(local)]
    assert len(in_catalog(local).metadata.snapshots) == 1
    assert len(list(folder(local).glob("metadata/*.metadata.json"))) == 2
    bring_up_to_date(local, table)


def test_a_district_is_gone_and_another_one_whose_id_begins_alike_is_not(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    assert forgetting(local).district().unreached == ()
    assert [path.name for path, text in texts(local) if re.search(DISTRICT, f"{path.name}{text}")] == []
    assert read("pyiceberg", local) == [landed(local)]
    assert len(landed(local)) == 1


def test_what_a_tag_keeps_is_said(local: Store) -> None:
    fill(local)
    table = embedded(local)
    bring_up_to_date(local, table)
    found = in_catalog(local)
    head = found.current_snapshot()
    assert head is not None
    with found.manage_snapshots() as change:
        change.create_tag(head.snapshot_id, "audit")
    receipt = forgetting(local).students([WANTED])
    (said,) = receipt.unreached
    assert "branches or tags" in said.what
    assert "audit" in said.what
    assert not receipt.is_complete


def test_days_that_are_forgotten_for_their_age_are_gone_from_every_file(local: Store) -> None:
    land(local, "2024-04-01", [WANTED])
    land(local, "2024-04-02", [OTHER])
    bring_up_to_date(local, embedded(local))
    assert forgetting(local).days("2024-04-02").unreached == ()
    assert mentions(local) == set()
    assert read("pyiceberg", local) == [landed(local)]


def test_a_table_that_was_removed_is_not_made_again_for_what_is_forgotten(local: Store) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    shutil.rmtree(folder(local).parent)
    assert forgetting(local).students([WANTED]).unreached == ()
    assert not folder(local).parent.exists()


def test_a_table_that_was_set_back_holds_nobody_who_is_forgotten(local: Store) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    land(local, "2026-04-03", [OTHER])
    bring_up_to_date(local, embedded(local))
    found = in_catalog(local)
    first, _ = found.history()
    back = SetSnapshotRefUpdate(snapshot_id=first.snapshot_id, ref_name="main", type="branch")
    found.catalog.commit_table(found, (), (back,))
    assert forgetting(local).students([WANTED]).unreached == ()
    assert mentions(local) == set()
    assert read("pyiceberg", local) == [landed(local)]


def test_a_catalog_that_cannot_be_reached_makes_the_receipt_incomplete(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(local)
    settings = {"conn_type": "iceberg", "host": "http://127.0.0.1:1", "password": "a-made-up-token"}
    register(at(local), DISTRICT, {"kind": "iceberg", "catalog": "far_away", "table": "clever.attendance"})
    for number, defined in enumerate((None, settings)):
        if defined:
            monkeypatch.setenv("AIRFLOW_CONN_FAR_AWAY", json.dumps(defined))
        receipt = forgetting(local).students([WANTED])
        (left,) = receipt.unreached
        assert not receipt.is_complete
        assert left.names == ("table:far_away/iceberg/clever.attendance",)
        assert ("no Airflow connection far_away", "cannot be reached")[number] in left.what
        assert "a-made-up" not in str(receipt.to_json())


def test_a_table_that_was_never_made_has_nothing_to_forget(local: Store) -> None:
    assert embedded(local).forget_past(DISTRICT) == []
    assert not Path(local.root, "iceberg").exists()


@pytest.mark.parametrize(
    ("data", "says"), [(b"{", "it is damaged"), (b'{"version": 99, "tables": []}', "a newer version")]
)
def test_a_list_of_tables_that_cannot_be_read_makes_the_receipt_incomplete(
    local: Store, data: bytes, says: str
) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    at(local).update(registry_path(DISTRICT), lambda _: data)
    receipt = forgetting(local).students([WANTED])
    (left,) = receipt.unreached
    assert says in left.what
    assert not receipt.is_complete


@pytest.mark.parametrize("lost", ["removed", "emptied", "dropped"])
def test_files_that_no_catalog_knows_any_more_make_the_receipt_incomplete(local: Store, lost: str) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    catalog = folder(local).with_name("catalog.db")
    if lost == "dropped":
        in_catalog(local).catalog.drop_table("clever.attendance")
    elif lost == "emptied":
        catalog.write_bytes(b"")
    else:
        catalog.unlink()
    (left,) = forgetting(local).students([WANTED]).unreached
    assert left.names == ("table:embedded/iceberg/clever.attendance",)
    assert "files are left in" in left.what
    assert "remove that folder" in left.what
    bring_up_to_date(local, embedded(local))  # made again, with the old files beside the new
    assert forgetting(local).students([WANTED]).unreached == ()
    assert mentions(local) == set()


def test_a_table_beside_the_lake_that_nothing_records_is_reached_too(local: Store) -> None:
    fill(local)
    bring_up_to_date(local, embedded(local))
    Path(local.root, registry_path(DISTRICT)).unlink()
    receipt = forgetting(local).students([WANTED])
    assert receipt.unreached == ()
    assert "table:embedded/iceberg/clever.attendance/2026-04" in receipt.touched
    assert mentions(local) == set()
