"""A district pulled night after night on the sandbox's clock: plan, pull, record, as the nightly DAG does."""

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import fsspec

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import Listing, read_coverage, record_coverage
from airflow_provider_clever.ledger.planner import PlanSettings
from airflow_provider_clever.ledger.surveying import Survey, survey
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.syncs import moment_text
from airflow_provider_clever.transfer.transfer import Transfer


@dataclass
class Nights:
    """One district, its lake, and the routine of a night.

    :param district: the sandbox's character.
    """

    sandbox: Sandbox
    folder: Path
    district: str = "small"
    settings: PlanSettings = field(default_factory=PlanSettings)

    def __post_init__(self) -> None:
        self.district_id = self.sandbox.district(self.district).id
        self.objects = objects_at(fsspec.filesystem("file"), str(self.folder))
        self.nights = 0
        self.receipts: list[str] = []

    @property
    def today(self) -> date:
        return date.fromisoformat(self.sandbox.today)

    @property
    def watermark(self) -> str | None:
        return read_coverage(self.objects, self.district_id).coverage.watermark

    def client(self) -> CleverClient:
        facts = json.loads(self.sandbox.connection_json(self.district))
        return CleverClient(
            CleverSettings(
                api_base=facts["host"],
                auth_base=facts["host"],
                client_id=facts["login"],
                client_secret=facts["password"],
                district_id=self.district_id,
                budget_share=1.0,
            ),
            policy=RetryPolicy(attempts=1),
        )

    def survey(self, **options: Any) -> Survey:
        with self.client() as client:
            return survey(client, self.objects, today=self.today, settings=self.settings, **options)

    def night(self, *, asked: DateRange | None = None, before_each_pull: Callable[[], object] = lambda: None) -> Survey:
        """Plan, pull, record; what fails is left to the next night. Gives what was planned."""
        found = self.survey(asked=asked)
        self.nights += 1
        self.receipts.clear()
        for number, task in enumerate(found.plan.tasks):
            before_each_pull()
            work = IdempotencyKey.of(self.nights, number, month=self.today.strftime("%Y-%m"))
            question = Question(
                first_day=task.span.first,
                last_day=task.span.last,
                school_ids=task.school_ids,
                expected_requests=task.requests,
            )
            with self.client() as client:
                try:
                    transfer = Transfer(client, question, stop=threading.Event())
                    answer = transfer.land(self.lands, idempotency_key=work, today=self.today)
                except CleverError:
                    continue
            self.receipts.append(answer.summary["receipt"])
            self._finished_now(work)
        self.record(found)
        return found

    def record(self, found: Survey) -> Coverage:
        listing = Listing(today=self.today, schools=found.schools, rules=self.settings.corrections)
        return record_coverage(self.objects, self.district_id, listing).coverage

    def lands(self, district_id: str) -> Destination:
        return Destination(self.objects.fs, self.objects.root, district_id=district_id, file_format="jsonl")

    def landed(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """Every landed row by key, as Clever wrote it."""
        rows: dict[tuple[str, ...], dict[str, Any]] = {}
        for path in self.objects.fs.find(f"{self.objects.root}/attendance"):
            if not path.endswith(".jsonl.gz"):
                continue
            for line in gzip.decompress(self.objects.fs.cat_file(path)).splitlines():
                row = json.loads(line)
                assert _key(row) not in rows, "a key stands twice"
                rows[_key(row)] = row
        return rows

    def _finished_now(self, work: IdempotencyKey) -> None:
        """Date a receipt by the sandbox's clock: the process' own does not move on."""

        def on_the_sandboxs_clock(data: bytes | None) -> bytes:
            assert data is not None
            receipt = Receipt.from_json(read_gzipped_json(data))
            now = datetime.fromisoformat(self.sandbox.now)
            return gzipped_json(replace(receipt, finished_at=moment_text(now)).to_json())

        path = f"_clever/district={self.district_id}/receipts/{work.month}/{work.id}.json.gz"
        self.objects.update(path, on_the_sandboxs_clock)


@dataclass
class Due:
    """All rows that Clever has had since we began to look, in their last version."""

    nights: Nights
    rows: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def look(self, **query: Any) -> None:
        """Take in what Clever has now."""
        for row in self.nights.sandbox.iter_expected(self.nights.district, **query):
            self.rows[_key(row)] = row

    def missing(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """What has not landed, or not in its last version."""
        landed = self.nights.landed()
        return {
            key: row
            for key, row in self.rows.items()
            if key not in landed
            or landed[key]["attendance_status"] != row["attendance_status"]
            or (landed[key].get("excuse_code") or None) != (row.get("excuse_code") or None)
        }

    def missing_days(self) -> set[tuple[str, str]]:
        """The schools and days of what has not landed."""
        return {(row["school_id"], row["attendance_date"]) for row in self.missing().values()}


def evening(day: date) -> str:
    """The moment, late on a day, at which the sandbox's clock stands for a night's pull."""
    return datetime.combine(day, time(23), UTC).isoformat()


def days_on(day: date, count: int) -> date:
    return day + timedelta(days=count)


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["attendance_date"],
        row["school_id"],
        row["student_id"],
        row["attendance_type"],
        row.get("section_id") or "",
        "" if row.get("section_id") or row["attendance_type"] == "daily" else row.get("sis_id") or "",
    )
