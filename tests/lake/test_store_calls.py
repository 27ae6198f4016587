"""What a night costs at the store, counted by the store: it follows what is there and what changed."""

import gzip
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.layout import objects_at, parse_partition_path
from airflow_provider_clever.lake.store import Destination, PartitionOutcome, PullContext
from airflow_provider_clever.ledger.coverage_store import receipts_at
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.compressed import gzipped, gzipped_json
from airflow_provider_clever.storage.versions import ABSENT
from tests.integration.ledger.nights import Nights
from tests.lake.builders import DAY, DISTRICT, SCHOOL, context, day, land_and_mark, row
from tests.lake.emulators import Store

TODAY = date(2026, 11, 23)
RETAINED = DateRange(first_retained(TODAY), TODAY)
WEEK = DateRange(date.fromisoformat(DAY) - timedelta(days=6), date.fromisoformat(DAY))
OTHER_DAYS = [f"{date.fromisoformat(DAY) - timedelta(days=ago)}" for ago in (1, 2)]


@dataclass
class District:
    """A district of two schools whose attendance lies in S3, whole and covered."""

    nights: Nights
    store: Store

    def partitions(self, days: DateRange = RETAINED) -> set[str]:
        """The partitions of these days that exist."""
        found = self.store.filesystem().find(f"{self.store.root}/attendance")
        paths = [path.removeprefix(f"{self.store.root}/") for path in found]
        return {
            path
            for path in paths
            if (name := parse_partition_path(path)) and date.fromisoformat(name.attendance_date) in days
        }

    def night(self, asked: DateRange | None = None) -> Counter[str]:
        """Plan, pull and record. Gives how many requests of each kind that took."""
        self.store.requests()
        self.nights.night(asked=asked)
        return self.calls()

    def calls(self) -> Counter[str]:
        """How many requests of each kind the store has had since this was asked last."""
        return Counter(kind_of(method, path) for method, path in self.store.requests())

    @property
    def notes(self) -> str:
        return f"{self.store.root}/_clever/district={self.nights.district_id}/partitions"

    def forget_notes(self) -> None:
        self.store.filesystem().rm(self.notes, recursive=True)


def kind_of(method: str, path: str) -> str:
    where, _, query = path.partition("?")
    if "list-type=2" in query:
        return "LIST attendance" if "attendance%2F" in query else "LIST ours"
    return f"{method} {'partition' if '/attendance/' in where else 'ours'}"


@pytest.fixture
def district(sandbox: Sandbox, s3: Store, tmp_path: Path) -> District:
    sandbox.reset(today=TODAY.isoformat(), districts=["large"], large_schools=2, large_students=2, large_school_days=20)
    store = s3.below(uuid.uuid4().hex)
    nights = Nights(sandbox, tmp_path, "large")
    nights.objects = objects_at(store.filesystem(), store.root)
    return District(nights, store)


def test_a_first_pull_lists_what_is_there_and_asks_for_no_partition(district: District) -> None:
    calls = district.night()
    assert calls["PUT partition"] == len(district.partitions()) == 2 * 20
    assert calls["GET partition"] == 0
    assert calls["LIST attendance"] <= 20  # of 184 days


def test_a_night_reads_no_partition_that_did_not_change(district: District) -> None:
    district.night()
    district.nights.sandbox.sync("large", edits=5)
    calls = district.night()
    assert 1 <= calls["GET partition"] == calls["PUT partition"] <= 5
    assert calls["LIST attendance"] <= 20
    assert calls["GET ours"] + calls["LIST ours"] <= 15


def test_a_sweep_of_what_did_not_change_reads_and_writes_no_partition(district: District) -> None:
    district.night()
    calls = district.night(RETAINED)
    assert calls["GET partition"] == calls["PUT partition"] == 0
    assert calls["LIST attendance"] <= 20


def test_a_night_of_a_district_that_has_uploaded_nothing_looks_at_no_partition(district: District) -> None:
    district.night()
    calls = district.night()
    assert {kind for kind in calls if not kind.endswith("ours")} == set()


def test_what_is_not_noted_is_read_once_and_noted_again(district: District) -> None:
    district.night()
    district.forget_notes()
    assert district.night(RETAINED)["GET partition"] == len(district.partitions())
    assert district.night(RETAINED)["GET partition"] == 0


@pytest.mark.parametrize(
    "damage", [b"damaged", gzipped_json({"schema_version": 1, "days": {"2026-11-20": {"x": "y"}}})]
)
def test_notes_that_are_damaged_cost_requests_and_are_made_anew(district: District, damage: bytes) -> None:
    district.night()
    fs = district.store.filesystem()
    for path in fs.find(district.notes):
        fs.pipe_file(path, damage)
    assert district.night(RETAINED)["GET partition"] == len(district.partitions())
    assert district.night(RETAINED)["GET partition"] == 0


def test_a_newer_versions_notes_are_neither_used_nor_overwritten(district: District) -> None:
    district.night()
    fs = district.store.filesystem()
    newer = gzipped_json({"schema_version": 99})
    for path in fs.find(district.notes):
        fs.pipe_file(path, newer)
    for _ in range(2):
        assert district.night(RETAINED)["GET partition"] == len(district.partitions())
    assert {fs.cat_file(path) for path in fs.find(district.notes)} == {newer}


def test_a_partition_that_somebody_else_wrote_is_read_whatever_is_noted(district: District) -> None:
    district.night()
    fs = district.store.filesystem()
    path = f"{district.store.root}/{max(district.partitions())}"
    landed = fs.cat_file(path)
    fs.pipe_file(path, gzipped(b"".join(gzip.decompress(landed).splitlines(keepends=True)[:-1])))
    calls = district.night(RETAINED)
    assert (calls["GET partition"], calls["PUT partition"]) == (1, 1)
    assert gzip.decompress(fs.cat_file(path)) == gzip.decompress(landed)


def test_a_store_that_cannot_be_listed_is_asked_for_each_partition(s3: Store, caplog: pytest.LogCaptureFixture) -> None:
    store = s3.below(uuid.uuid4().hex)
    lake = Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format="jsonl")
    assert lake.land(day([row()]), context=context()).outcome == "written"
    store.fail_next(1000, status=403, code="AccessDenied", method="LIST")
    try:
        lake.known.look_up(WEEK, None)
        assert lake.land(day([row()]), context=context()).outcome == "unchanged"
        assert "read one by one" in caplog.text
    finally:
        store.fail_next(0, status=403, code="")


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_each_cloud_store_lists_the_versions_that_it_reads_and_writes(any_store: Store, file_format: str) -> None:
    def destination() -> Destination:
        return Destination(any_store.filesystem(), any_store.root, district_id=DISTRICT, file_format=file_format)

    paths = []
    for rows in ([row()], [row(), row("b")]):
        lake = destination()
        lake.known.look_up(WEEK, [SCHOOL])
        landed = lake.land(day(rows), context=context())
        assert landed.outcome == "written"
        paths.append(landed.path)
        lake.known.keep()
    lake = destination()
    lake.known.look_up(WEEK, [SCHOOL])
    known = lake.known.of(paths[0])
    if any_store.protocol in ("file", "memory"):
        assert known is None
    else:
        found = lake.objects.read(paths[0])
        assert known is not None and found is not None  # noqa: PT018 - one fact
        assert known.version == found[1]
        assert known.mark is not None and known.mark.rows == 2  # noqa: PT018 - one fact
        missing = layout.partition_path(DISTRICT, WEEK.first.isoformat(), SCHOOL, file_format)
        assert lake.known.of(missing) == (ABSENT, None)
    assert lake.land(day([row(), row("b")]), context=context()).outcome == "unchanged"


def test_what_another_writer_changes_after_it_was_listed_does_not_count_as_left_as_it_was(s3: Store) -> None:
    store = s3.below(uuid.uuid4().hex)

    def destination() -> Destination:
        lake = Destination(store.filesystem(), store.root, district_id=DISTRICT, file_format="jsonl")
        lake.known.look_up(WEEK, [SCHOOL])
        return lake

    def pull(lake: Destination) -> list[str]:
        days = [day([row()]), *(day([], attendance_date=other) for other in OTHER_DAYS)]
        return [lake.land(one, context=context()).outcome for one in days]

    first = destination()
    assert pull(first) == ["written", "absent", "absent"]
    assert first.known.changed() == set()
    first.known.keep()
    slow, alone = destination(), destination()
    for lake in (slow, alone):
        assert lake.known.of(layout.partition_path(DISTRICT, DAY, SCHOOL, "jsonl")) is not None  # it has been listed
    assert pull(alone) == ["unchanged", "absent", "absent"]
    assert alone.known.changed() == set()
    land_and_mark(destination(), day([]), context())
    destination().land(day([row()], attendance_date=OTHER_DAYS[0]), context=context())
    assert pull(slow) == ["unchanged", "absent", "absent"]
    assert slow.known.changed() == {(SCHOOL, DAY), (SCHOOL, OTHER_DAYS[0])}


@pytest.mark.parametrize("is_overtaken", [True, False])
def test_a_day_that_another_writer_changed_in_mid_pull_is_due_again_and_stands_in_no_receipt(
    district: District, monkeypatch: pytest.MonkeyPatch, is_overtaken: bool
) -> None:
    district.night()
    nights = district.nights
    path = max(district.partitions())
    name = parse_partition_path(path)
    assert name is not None
    another = nights.lands(nights.district_id)

    class Overtaken(Destination):
        """Another writer marks all rows of a day between the listing and the landing."""

        def land(self, day: PulledDay, *, context: PullContext) -> PartitionOutcome:
            if is_overtaken and (day.school_id, day.attendance_date) == (name.school_id, name.attendance_date):
                assert self.known.of(path) is not None
                land_and_mark(another, day._replace(rows=day.rows.slice(0, 0)), context)
            return super().land(day, context=context)

    monkeypatch.setattr(
        nights,
        "lands",
        lambda id_: Overtaken(another.objects.fs, another.objects.root, district_id=id_, file_format="jsonl"),
    )
    district.night(RETAINED)
    schools = [one.schools for one in receipts_at(nights.objects, nights.district_id, nights.receipts)]
    (school,) = (found[name.school_id] for found in schools if name.school_id in found)
    is_covered = any(date.fromisoformat(name.attendance_date) in days for days in school.covered)
    assert (is_covered, name.attendance_date in school.unchanged) == (not is_overtaken, not is_overtaken)


def test_a_listed_school_that_never_landed_and_is_refused_costs_no_listing(district: District) -> None:
    district.night()
    school_id = district.nights.sandbox.district("large").school_ids[0]
    district.nights.sandbox.fault("404", school_id=school_id, every=1)
    calls = district.night(RETAINED)
    assert calls["GET partition"] == 0
    assert calls["LIST attendance"] <= 20
