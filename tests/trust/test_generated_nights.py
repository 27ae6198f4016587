"""Generated nights: faults, real deletions, late uploads and kills in any mix, and what must hold after each of them.

``make trust NIGHTS=1000`` runs that many; the short form runs with all other tests. A story is made of its number,
so a failure names what to run again: ``-k "story-17"``.

Faults that a single answer cannot be told from a small correction by (a tenth of a school's rows, one whole day) are
not drawn: what they may hide is bounded by rule, and the next good night brings it back.
"""

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.attendance.absence import AbsenceRules
from airflow_provider_clever.attendance.keys import keys
from airflow_provider_clever.dates import first_retained
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.ledger.planner import PlanSettings
from airflow_provider_clever.ledger.recording import RecordedRun, record_run
from airflow_provider_clever.ledger.reporting import PlannedPull
from airflow_provider_clever.ledger.surveying import Survey, survey
from airflow_provider_clever.ledger.task_sizing import PullTask
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.transfer.transfer import Transfer
from tests.lake.builders import texts
from tests.support.asking import settings_for

NIGHTS = int(os.environ.get("CLEVER_TRUST_NIGHTS", "60"))
NIGHTS_EACH = 20
Key = tuple[str, ...]


class KilledError(BaseException):
    """The worker died."""


class MortalFileSystem(MemoryFileSystem):
    """A store of this process, in which the worker dies at a write of its choice."""

    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class above, but not shared with it
    pseudo_dirs = [""]  # noqa: RUF012 - as above
    writes_left = -1

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        """Write, or die."""
        if "/attendance/" in path and self.writes_left >= 0:
            if self.writes_left == 0:
                raise KilledError
            self.writes_left -= 1
        super().pipe_file(path, value, **options)


@dataclass
class Story:
    """One district and its nights."""

    sandbox: Sandbox
    chance: random.Random
    fs: MortalFileSystem = field(default_factory=MortalFileSystem)
    nights: int = 0
    ever: dict[Key, dict[str, Any]] = field(default_factory=dict)
    now: dict[Key, dict[str, Any]] = field(default_factory=dict)
    read: dict[str, tuple[bytes, dict[Key, tuple[str | None, str | None]]]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fs.store.clear()
        # Clever's clock must not run ahead of ours: rows that it stamps with the future are never marked.
        self.day = datetime.now(UTC).date() - timedelta(days=90 + self.chance.randrange(60))
        self.sandbox.reset(today=self.day.isoformat(), districts=["small"])
        district = self.sandbox.district("small")
        self.district_id, self.schools = district.id, district.school_ids
        self.client_settings = settings_for(self.sandbox)
        self.objects = objects_at(self.fs, "/lake")

    # --- one night ----------------------------------------------------------------------------------------------------

    def night(self, *, upload: dict[str, Any] | None, killed_at: int | None = None) -> tuple[Survey, RecordedRun]:
        """An evening with its upload, then plan, pull and record, as the factory's DAG does them."""
        self.nights += 1
        self.day += timedelta(days=1)
        self.sandbox.set_now(datetime(self.day.year, self.day.month, self.day.day, 23, tzinfo=UTC).isoformat())
        if upload is not None:
            self.sandbox.sync("small", **upload)
        with self.client() as client:
            found = survey(client, self.objects, today=self.day, settings=PlanSettings())
        receipts = [self.pull(number, task, killed_at) for number, task in enumerate(found.plan.tasks)]
        with self.client() as client:
            listed = {school.id: school.name for school in client.iter_schools()}
        run = record_run(
            self.objects,
            self.district_id,
            today=self.day,
            zone=UTC,
            rules=PlanSettings().corrections,
            schools=listed,
            planned=[PlannedPull(task.school_ids, task.span) for task in found.plan.tasks],
            receipts=[receipt for receipt in receipts if receipt],
            is_whole=True,
            left_out=found.left_out,
        )
        return found, run

    def pull(self, number: int, task: PullTask, killed_at: int | None) -> str | None:
        """Pull a task's days, with one retry if the worker dies."""
        for is_mortal in (True, False) if killed_at is not None else (False,):
            self.fs.writes_left = killed_at or 0 if is_mortal else -1
            try:
                return self.try_to_pull(number, task)
            except KilledError:
                continue
            except CleverError:
                return None
            finally:
                self.fs.writes_left = -1
        return None

    def try_to_pull(self, number: int, task: PullTask) -> str:
        question = Question(first_day=task.span.first, last_day=task.span.last, school_ids=task.school_ids)
        with self.client() as client:
            transfer = Transfer(
                client, question, stop=threading.Event(), max_concurrency=2, clock=lambda: self.sandbox_now
            )
            answer = transfer.land(
                lambda district_id: Destination(self.fs, "/lake", district_id=district_id, file_format="jsonl"),
                idempotency_key=IdempotencyKey.of(self.nights, number, month=f"{self.day:%Y-%m}"),
                today=self.day,
                absence=AbsenceRules(confirm_seconds=0),
                listed_at=self.sandbox_now,
            )
        return str(answer.summary["receipt"])

    @property
    def sandbox_now(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, 23, 5, tzinfo=UTC)

    def client(self) -> CleverClient:
        return CleverClient(self.client_settings, policy=RetryPolicy(attempts=1, backoff_seconds=0))

    # --- what is true -------------------------------------------------------------------------------------------------

    def truth(self) -> dict[Key, dict[str, Any]]:
        """What Clever really has of the schools that it shares."""
        return {key_of(row): row for row in self.sandbox.iter_expected("small")}

    def look(self) -> None:
        """Take in what Clever has now: a night changes nothing of it, so it is the same before and after."""
        self.now = self.truth()
        self.ever |= self.now

    def landed(self) -> dict[Key, tuple[str | None, str | None]]:
        """The status and the mark of every row in the lake."""
        found: dict[Key, tuple[str | None, str | None]] = {}
        for path in self.fs.find("/lake/attendance"):
            data = self.fs.cat_file(path)
            if path not in self.read or self.read[path][0] != data:
                self.read[path] = data, read_partition(data)
            found |= self.read[path][1]
        return found

    def check(self, found: Survey, run: RecordedRun) -> None:
        """What must hold after every night, good or bad."""
        self.look()
        truth, landed = self.now, self.landed()
        retained = first_retained(self.day).isoformat()
        hidden = {key for key, (_, mark) in landed.items() if mark}
        shared = set(self.sandbox.district("small").school_ids)
        wrongly = {key for key in hidden if key in truth}
        assert not wrongly, f"{len(wrongly)} rows are hidden that Clever has: {self.told[-3:]}"
        if run.problems:
            return
        doubted = {days.school_id for days in run.report.withheld}
        for task in found.plan.tasks:
            first, last = task.span.first.isoformat(), task.span.last.isoformat()
            due = {
                key: row
                for key, row in truth.items()
                if first <= key[0] <= last and key[0] >= retained
                if key[1] in task.school_ids and key[1] in shared and key[1] not in doubted
            }
            missing = {key for key, row in due.items() if landed.get(key) != (row["attendance_status"], None)}
            assert not missing, f"green, and {len(missing)} due rows are not live: {self.told[-3:]}"

    def check_everything(self) -> None:
        """What must hold after three good nights: all that Clever still has is live."""
        self.look()
        truth, landed = self.now, self.landed()
        missing = {key for key, row in truth.items() if landed.get(key) != (row["attendance_status"], None)}
        assert not missing, f"{len(missing)} rows are not live after three good nights: {self.told[-6:]}"

    def check_hidden(self) -> None:
        """What must hold after a sweep: what is hidden is what was really deleted."""
        truth, landed = self.now, self.landed()
        oldest = (self.day - timedelta(days=150)).isoformat()
        gone = {key for key in self.ever if key not in truth and key in landed and key[0] >= oldest}
        hidden = {key for key, (_, mark) in landed.items() if mark}
        assert gone == {key for key in hidden if key[0] >= oldest}, self.told[-6:]


def read_partition(data: bytes) -> dict[Key, tuple[str | None, str | None]]:
    rows = FORMATS["jsonl"].read(data).rows
    values = zip(texts(rows, "attendance_status"), texts(rows, "missing_since"), strict=True)
    places = zip(texts(rows, "attendance_date"), texts(rows, "school_id"), keys(rows), strict=True)
    return {(str(day), str(school), *key): value for (day, school, key), value in zip(places, values, strict=True)}


def key_of(row: dict[str, Any]) -> Key:
    is_bare = row["attendance_type"] == "section" and not row.get("section_id")
    return (
        row["attendance_date"],
        row["school_id"],
        row["student_id"],
        row["attendance_type"],
        row.get("section_id") or "",
        (row.get("sis_id") or "") if is_bare else "",
    )


# --- what may come in a night -----------------------------------------------------------------------------------------


def fault(story: Story) -> str:
    """Turn one fault on, and say which."""
    chance, sandbox = story.chance, story.sandbox
    some = chance.sample(list(story.schools), chance.choice([1, 1, 2, len(story.schools)]))
    kind = chance.choice(["withheld", "partial", "unlisted", "empty list", "failing", "unshared", "outage"])
    if kind == "withheld":
        empty = chance.choice(["list", "null", "missing"])
        sandbox.knobs(rows_withheld_schools=some, rows_withheld_percent=100, empty_data=empty)
    if kind == "partial":
        sandbox.knobs(rows_withheld_schools=some, rows_withheld_percent=chance.choice([30, 50, 80]))
    if kind == "unlisted":
        how = chance.choice(["answers", "404"])
        sandbox.knobs(unlisted_schools=some, unlisted_schools_attendance=how)
    if kind == "empty list":
        sandbox.knobs(unlisted_schools=["*"], unlisted_schools_attendance="404")
    if kind == "failing":
        sandbox.fault(chance.choice(["500", "404", "truncated_json"]), school_id=some[0], family="attendance", times=0)
    if kind == "unshared":
        sandbox.knobs(unknown_school=chance.choice(["404", "empty"]))
        for school_id in some[:2]:
            sandbox.share(school_id, shared=False)
    if kind == "outage":
        sandbox.knobs(sftp_outage_districts=[story.district_id])
    return f"{kind} {len(some)}"


def mend(story: Story) -> None:
    """Turn every fault off."""
    story.sandbox.clear_faults()
    story.sandbox.knobs(
        rows_withheld_schools=[],
        rows_withheld_percent=100,
        unlisted_schools=[],
        sftp_outage_districts=[],
        empty_data="list",
        unknown_school="404",
    )
    for school_id in story.schools:
        story.sandbox.share(school_id)


def upload(story: Story) -> dict[str, Any] | None:
    """What a district uploads on an evening: nothing, or a day with corrections, late rows and real deletions."""
    chance = story.chance
    if chance.random() < 0.1:
        return None
    return {"edits": chance.randrange(4), "late_rows": chance.randrange(4), "deletes": chance.randrange(3), "weeks": 2}


def snow_day(story: Story) -> str:
    """One day of one school is taken back, really."""
    school_id = story.chance.choice(list(story.schools))
    days = sorted({key[0] for key in story.now if key[1] == school_id})[-8:-2]
    if not days:
        return "no snow"
    day = story.chance.choice(days)
    story.sandbox.delete_rows(
        *story.sandbox.expected("small", school_id=school_id, date_range_start=day, date_range_end=day)
    )
    return f"snow {day}"


@pytest.fixture
def story(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Story]:
    one = Story(sandbox, random.Random(request.param))
    yield one
    mend(one)


@pytest.mark.parametrize(
    "story", range(max(1, NIGHTS // NIGHTS_EACH)), ids=lambda number: f"story-{number}", indirect=True
)
def test_green_means_landed_and_hidden_means_deleted(story: Story) -> None:
    story.night(upload={})
    story.look()
    for _ in range(NIGHTS_EACH - 4):
        what = [f"{story.day}"]
        bad = story.chance.random() < 0.4
        if bad:
            what.append(fault(story))
        elif story.chance.random() < 0.1:
            what.append(snow_day(story))
        killed_at = story.chance.randrange(12) if story.chance.random() < 0.2 else None
        story.told.append(" ".join([*what, f"killed at {killed_at}" if killed_at is not None else ""]))
        found, run = story.night(upload=upload(story), killed_at=killed_at)
        story.check(found, run)
        if bad and story.chance.random() < 0.6:
            mend(story)
    mend(story)
    for _ in range(3):
        found, run = story.night(upload={})
        story.check(found, run)
    story.check_everything()
    while story.day.weekday() != 6:
        story.night(upload={})
        story.look()
    story.check_hidden()
