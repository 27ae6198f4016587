"""Forgetting reaches the months of a table."""

import gzip
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_clever.forget.receipts import ForgetReceipt
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.forget.tables import OpenTable
from airflow_provider_clever.lake import layout
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet
from airflow_provider_clever.table.registry import register, registrations
from airflow_provider_clever.table.table import StagedMonth, Table
from airflow_provider_clever.table.updating import TableUpdate, UpdateReport, UpdateRules
from tests.lake.builders import DAY, DISTRICT
from tests.lake.emulators import Store
from tests.table import engines
from tests.table.lakes import OTHER_SCHOOL, at, land

WANTED, OTHER = "66aaaaaaaaaaaaaaaaaaaaaa", "66bbbbbbbbbbbbbbbbbbbbbb"
SECRET = "0123456789abcdef0123456789abcdef"
RULES = UpdateRules(today=date(2026, 4, 20), forget_secret=lambda: SECRET)


def forgetting(store: Store, *, hours: float = 0, open_table: OpenTable | None = None) -> Forgetting:
    clock = lambda: datetime(2026, 4, 20, 12, tzinfo=UTC)  # noqa: E731 - one line
    return Forgetting(at(store), DISTRICT, secret=SECRET, longest_task_hours=hours, clock=clock, open_table=open_table)


def update(store: Store, table: Table | None = None) -> UpdateReport:
    objects = at(store)
    return TableUpdate(objects, table or MonthlyParquet(objects), RULES).run([DISTRICT])


def traces(store: Store, student: str = WANTED) -> list[str]:
    """The objects that hold a student, or the beginning of the id; compressed ones looked into."""
    fs, found = store.filesystem(), []
    for path in fs.find(store.root):
        data = fs.cat_file(path)
        if path.endswith(".gz"):
            data = gzip.decompress(data)
        elif path.endswith(".parquet"):
            import pyarrow as pa

            file = pq.ParquetFile(pa.BufferReader(data))
            data += repr(file.read().to_pylist()).encode() + repr(file.metadata.to_dict()).encode()
        if student[:12].encode() in data:
            found.append(path)
    return found


@pytest.fixture
def lake(disk_or_s3: Store) -> Store:
    for day in ("2026-03-31", DAY):
        land(disk_or_s3, day, [WANTED, OTHER])
        land(disk_or_s3, day, [OTHER], school=OTHER_SCHOOL, _extra=f'{{"with":"{WANTED}"}}')
    land(disk_or_s3, "2025-03-05", [OTHER])
    land(disk_or_s3, "2025-04-10", [OTHER])
    land(disk_or_s3, "2025-04-20", [OTHER])
    update(disk_or_s3)
    return disk_or_s3


def months(store: Store) -> list[str]:
    return [path.rpartition("month=")[2][:7] for path in at(store).names_below("attendance_by_month")]


def count_of(receipt: ForgetReceipt, kind: str) -> int:
    return receipt.counts.get(kind, {"objects": 0})["objects"]


def test_no_byte_of_a_student_is_left_in_any_file(lake: Store) -> None:
    assert len(traces(lake)) == 4 + 2
    receipt = forgetting(lake).students([WANTED])
    assert traces(lake) == []
    assert (receipt.state, receipt.is_complete, count_of(receipt, "months")) == ("final", True, 2)
    assert months(lake) == ["2025-03", "2025-04", "2026-03", "2026-04"]
    assert update(lake).written == {}


def test_a_rehearsal_names_the_months_and_writes_nothing(lake: Store) -> None:
    before = traces(lake)
    touched = forgetting(lake).preview_students([WANTED]).found.touched
    assert sum("attendance_by_month" in path for path in touched) == 2
    assert traces(lake) == before


def test_old_days_are_taken_out_of_the_months(lake: Store) -> None:
    receipt = forgetting(lake).days("2025-04-15")
    assert (receipt.is_complete, count_of(receipt, "months")) == (True, 2)
    assert months(lake) == ["2025-04", "2026-03", "2026-04"]
    table = MonthRows(at(lake), _name("2025-04"))
    assert [batch["attendance_date"][0].as_py() for batch in table.batches()] == [date(2025, 4, 20)]
    assert update(lake).written == {}


def test_nothing_is_left_of_a_district(lake: Store) -> None:
    register(at(lake), DISTRICT, {"kind": "kept"})
    forgetting(lake).district()
    left = [path.rpartition("/")[2] for path in at(lake).names_below("") if "/local/" not in path]
    assert [path for path in left if not path.endswith((".json.gz", "destination.json"))] == ["tables.json"]
    assert update(lake).to_json()["months_written"] == 0
    land(lake, DAY, [OTHER])  # a task of before, that does not know yet
    assert update(lake).to_json()["months_written"] == 0


def test_a_lake_of_which_nobody_makes_a_table_gets_none(local: Store) -> None:
    land(local, DAY, [WANTED, OTHER])
    assert forgetting(local).students([WANTED]).is_complete
    assert not Path(local.root, "attendance_by_month").exists()


def test_a_month_that_cannot_be_made_again_makes_the_receipt_incomplete(local: Store) -> None:
    land(local, DAY, [WANTED, OTHER])
    land(local, DAY, [OTHER], school=OTHER_SCHOOL)
    update(local)
    damaged = Path(local.root, layout.partition_path(DISTRICT, DAY, OTHER_SCHOOL, "parquet"))
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:50])
    receipt = forgetting(local).students([WANTED])
    assert not receipt.is_complete
    assert [one.names for one in receipt.unreached if "months of a table" in one.what] == [
        (f"attendance_by_month/district={DISTRICT}/month=2026-04.parquet",)
    ]
    damaged.write_bytes(whole)
    assert forgetting(local).students([WANTED]).is_complete
    assert engines.differences(Path(local.root)) == []
    assert [path for path in traces(local) if "by_month" in path] == []


class Overtaken(MonthlyParquet):
    """Monthly Parquet; while a month is written, a person has something forgotten."""

    def __init__(self, store: Store, meanwhile: Any, *, is_before: bool) -> None:
        super().__init__(at(store))
        self._meanwhile, self._is_before = meanwhile, is_before

    def stage(self, month: MonthRows) -> StagedMonth[str | None]:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        if self._is_before:
            rows = list(month.batches())  # read before the sweep, and written after it
            meanwhile()
            month.batches = lambda: iter(rows)  # type: ignore[method-assign]
        staged = super().stage(month)
        if not self._is_before:
            meanwhile()
        return staged


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("what", ["student", "days", "district"])
def test_a_table_that_is_written_at_the_same_time_does_not_bring_anything_back(
    local: Store, what: str, is_before: bool
) -> None:
    land(local, "2025-04-10", [OTHER])
    land(local, "2025-04-20", [OTHER])
    land(local, "2026-04-01", [WANTED, OTHER])
    actions = {
        "student": lambda: forgetting(local, hours=24).students([WANTED]),
        "days": lambda: forgetting(local).days("2025-04-15"),
        "district": lambda: forgetting(local, hours=24).district(),
    }
    table = Overtaken(local, actions[what], is_before=is_before)
    report = update(local, table)
    assert report.problem() is None
    assert engines.differences(Path(local.root)) == []
    assert [path for path in traces(local) if "by_month" in path] == ([] if what != "days" else traces_of_months(local))


def traces_of_months(store: Store) -> list[str]:
    return [path for path in traces(store) if "by_month" in path]


def test_older_versions_of_months_go_too(s3: Store) -> None:
    import uuid

    store = s3.below(uuid.uuid4().hex)
    bucket = store.root.partition("/")[0]
    client = store.filesystem()
    client.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    try:
        land(store, DAY, [WANTED, OTHER])
        update(store)
        receipt = forgetting(store).students([WANTED])
        assert count_of(receipt, "old_versions") >= 2
        versions = client.call_s3("list_object_versions", Bucket=bucket, Prefix=store.root.partition("/")[2])
        kept = [one["Key"] for one in versions["Versions"] if "by_month" in one["Key"]]
        assert len(kept) == 1
    finally:
        client.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class Elsewhere(MonthlyParquet):
    """A table that does not lie at the destination, as far as anybody can tell."""

    registration: Mapping[str, str] | None = {"kind": "elsewhere", "catalog": "glue"}  # type: ignore[assignment]
    forgotten_past = 0

    def forget_past(self, district_id: str) -> list[str]:
        type(self).forgotten_past += 1
        return ["a snapshot is locked"]


def test_a_table_elsewhere_is_registered_and_reached_and_what_it_keeps_is_said(local: Store, tmp_path: Path) -> None:
    land(local, DAY, [WANTED, OTHER])
    other = Store("file", str(tmp_path / "warehouse"))
    TableUpdate(at(local), Elsewhere(at(other)), RULES).run([DISTRICT])
    assert registrations(at(local), DISTRICT) == [{"kind": "elsewhere", "catalog": "glue"}]
    unopened = forgetting(local).students([WANTED])
    assert [one.names for one in unopened.unreached] == [("table:glue/elsewhere",)]
    receipt = forgetting(local, open_table=lambda _: Elsewhere(at(other))).students([WANTED])
    (left,) = receipt.unreached
    assert left.what == "a table may hold more than its present state (a snapshot is locked)"
    assert traces(other) == []
    assert Elsewhere.forgotten_past == 1
    assert count_of(receipt, "tables") == 1


def _name(month: str) -> Any:
    from airflow_provider_clever.table.landed_months import MonthName

    return MonthName(DISTRICT, month)
