"""What is measured at growing sizes: coverage, its rebuild, and the survey of a district at first contact."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import fsspec

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import lock_folder
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt, WrittenPartition
from airflow_provider_clever.ledger.coverage_store import (
    Listing,
    coverage_path,
    read_coverage,
    rebuild_coverage,
    record_coverage,
)
from airflow_provider_clever.ledger.planner import PlanSettings, plan
from airflow_provider_clever.ledger.surveying import survey
from airflow_provider_clever.sandbox.testing import running_sandbox
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.storage.compressed import gzipped_json
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.storage.versions import Version
from airflow_provider_clever.syncs import moment_text
from tests.benchmarks.growth import Curve, Work

TODAY: Final = date(2026, 11, 24)
_DISTRICT: Final = "65e000000000000000000001"
_SCHOOLS_A_TASK: Final = 100
_YEARS: Final = 3


class CountedObjects(Objects):
    """Objects on the local disk that count what is read, written and listed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(fsspec.filesystem("file"), str(folder), lock_folder=lock_folder)
        self.calls = 0
        self.bytes = 0

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """Read, and count it."""
        found = super().read(path)
        self.calls += 1
        self.bytes += len(found[0]) if found else 0
        return found

    def write(self, path: str, data: bytes, expected: Version) -> None:
        """Write, and count it."""
        self.calls += 1
        self.bytes += len(data)
        super().write(path, data, expected)

    def names(self, path: str) -> list[str]:
        """List, and count it."""
        self.calls += 1
        return super().names(path)


def _moment(day: date, hour: int, task: int = 0) -> str:
    return moment_text(datetime.combine(day, time(hour, task % 60, task // 60), UTC))


def _ids(schools: int) -> list[str]:
    return [f"5c{number:022x}" for number in range(schools)]


def _keep_night(
    objects: Objects, day: date, schools: Sequence[str], first: date, *, a_task: int = _SCHOOLS_A_TASK
) -> None:
    """Keep the receipts of a night's pulls, a task for each so many schools."""
    for task, start in enumerate(range(0, len(schools), a_task)):
        newest = day.isoformat()
        receipt = Receipt(
            district_id=_DISTRICT,
            idempotency_key=IdempotencyKey(f"{day.toordinal():016x}{task:016x}", day.strftime("%Y-%m")),
            asked=Asked(date_range_start=first.isoformat(), date_range_end=newest),
            file_format="parquet",
            finished_at=_moment(day, 23, task),
            sync_before=_moment(day, 22),
            sync_after=_moment(day, 22),
            settled=True,
            schools={
                school_id: SchoolReceipt(
                    state="landed",
                    name=f"School {school_id[-4:]}",
                    covered=(DateRange(first, day),),
                    written={
                        newest: WrittenPartition(path="p", rows=500, content_hash="0" * 64, counts={"added": 500})
                    },
                    unchanged={str(day - timedelta(days=n)): "0123456789abcdef" for n in range(1, 15)},
                )
                for school_id in schools[start : start + a_task]
            },
        )
        path = Path(objects.root, receipt.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzipped_json(receipt.to_json()))


def _night(schools: int, folder: Path) -> Work:
    """Read the coverage of three years, fold a night into it, write it, and plan the next night."""
    objects, ids = CountedObjects(folder), _ids(schools)
    names = {school_id: f"School {school_id[-4:]}" for school_id in ids}
    for day in (TODAY - timedelta(days=183 * n) for n in range(2 * _YEARS, 0, -1)):
        _keep_night(objects, day, ids, first_retained(day))
    for day in (TODAY - timedelta(days=n) for n in range(8, 0, -1)):
        first = first_retained(day) if day.weekday() == 6 else day - timedelta(days=14)
        _keep_night(objects, day, ids, first)
    rebuild_coverage(objects, _DISTRICT, Listing(today=TODAY - timedelta(days=1), schools=names))
    _keep_night(objects, TODAY, ids, TODAY - timedelta(days=14))
    objects.calls = objects.bytes = 0

    def act() -> tuple[int, int]:
        record_coverage(objects, _DISTRICT, Listing(today=TODAY, schools=names))
        tomorrow = TODAY + timedelta(days=1)
        coverage = read_coverage(objects, _DISTRICT).coverage
        found = plan(coverage, names, today=tomorrow, last_sync=_moment(tomorrow, 22), settings=PlanSettings())
        if len(found.schools) != schools or not found.tasks:
            raise ValueError("the plan is not that of a night")
        compressed = len(gzip.compress(Path(objects.root, coverage_path(_DISTRICT)).read_bytes()))
        if compressed > 300_000:
            raise ValueError(f"coverage.json has {compressed:,} bytes compressed")
        return objects.calls, objects.bytes

    return act


def _rebuild(receipts: int, folder: Path) -> Work:
    """Rebuild coverage from the receipts of ten years, two a night."""
    objects, ids = CountedObjects(folder), _ids(8)
    for day in (TODAY - timedelta(days=n) for n in range((receipts + 1) // 2)):
        _keep_night(objects, day, ids, day - timedelta(days=14), a_task=4)
    names = dict.fromkeys(ids, "")

    def act() -> tuple[int, int]:
        rebuild_coverage(objects, _DISTRICT, Listing(today=TODAY, schools=names))
        return objects.calls, objects.bytes

    return act


def _survey(schools: int, folder: Path) -> Work:
    """Survey a district of which nothing has landed yet, in answers of no delay."""
    objects = CountedObjects(folder)

    def act() -> tuple[int, int]:
        with running_sandbox(today=TODAY.isoformat()) as sandbox:
            sandbox.reset(today=TODAY.isoformat(), districts=["large"], large_schools=schools, large_students=1)
            facts = json.loads(sandbox.connection_json("large"))
            settings = CleverSettings(
                api_base=facts["host"],
                auth_base=facts["host"],
                client_id=facts["login"],
                client_secret=facts["password"],
                district_id=sandbox.district("large").id,
            )
            with CleverClient(settings) as client:
                found = survey(client, objects, today=TODAY, settings=PlanSettings())
                if len(found.schools) != schools:
                    raise ValueError("not all schools were surveyed")
                return client.requests_sent + objects.calls, objects.bytes

    return act


CURVES: Final = (
    Curve("coverage of three years: read it, fold a night, write it, plan", "schools", 1500, _night),
    Curve("rebuild of coverage from nightly receipts", "receipts", 7300, _rebuild),
    Curve("survey at first contact", "schools", 1500, _survey),
)
