"""One pull from the sandbox in one call, and what it landed as an independent engine reads it."""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import fsspec

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.attendance.absence import AbsenceRules
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.transfer.result import TransferResult
from airflow_provider_clever.transfer.transfer import Transfer

FIELDS = (
    "attendance_date",
    "student_id",
    "section_id",
    "attendance_type",
    "attendance_status",
    "excuse_code",
    "sis_id",
    "school_id",
    "district_id",
    "created",
    "last_modified",
)
BRISK = RetryPolicy(attempts=7, backoff_seconds=0.05, longest_backoff_seconds=0.5)
"""Tests wait as often as users do, but not as long."""
AT_ONCE = AbsenceRules(confirm_seconds=0)
"""The same of second walks."""


def settings_for(sandbox: Sandbox, district: str = "small", *, mode: str = "client") -> CleverSettings:
    """Settings that reach one of the sandbox's districts."""
    found = sandbox.district(district)
    settings = CleverSettings(
        api_base=sandbox.url,
        auth_base=sandbox.url,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        district_id=found.id,
        budget_share=1.0,
        connect_timeout_seconds=30.0,
        read_timeout_seconds=60.0,
    )
    if mode == "client":
        return settings
    return replace(settings, client_id=None, client_secret=None, token=found.token)


def ask(
    sandbox: Sandbox,
    lake: Path | None,
    *,
    district: str = "small",
    mode: str = "client",
    first_day: date = date(2026, 6, 1),
    last_day: date = date(2026, 11, 23),
    today: date = date(2026, 11, 23),
    file_format: str = "parquet",
    limit: int = 10_000,
    max_concurrency: int = 8,
    work: str = "the work",
    write_changes: bool = False,
    gone_schools: Callable[[str], Collection[str]] = lambda _: (),
    stop: threading.Event | None = None,
    absence: AbsenceRules = AT_ONCE,
    listed_at: datetime | None = None,
    **question: Any,
) -> TransferResult:
    """Pull from the sandbox, into rows or, with a lake, into files."""
    stop = stop or threading.Event()
    with CleverClient(settings_for(sandbox, district, mode=mode), policy=BRISK, stop=stop) as client:
        transfer = Transfer(
            client,
            Question(first_day=first_day, last_day=last_day, **question),
            stop=stop,
            max_concurrency=max_concurrency,
        )
        if lake is None:
            return transfer.rows(limit=limit)
        return transfer.land(
            lambda district_id: Destination(
                fsspec.filesystem("file"), str(lake), district_id=district_id, file_format=file_format
            ),
            idempotency_key=IdempotencyKey.of(work, month=f"{today:%Y-%m}"),
            today=today,
            write_changes=write_changes,
            gone_schools=gone_schools,
            absence=absence,
            listed_at=listed_at,
        )


def landed(lake: Path, file_format: str = "parquet") -> list[tuple[str | None, ...]]:
    """All landed rows, read by DuckDB with globs and Hive partitioning on, as canonical text."""
    glob = f"{lake}/attendance/**/*{'.parquet' if file_format == 'parquet' else '.jsonl.gz'}"
    instant = "strftime({0}::TIMESTAMPTZ AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    columns = ", ".join(
        instant.format(name) if name in ("created", "last_modified") else f"{name}::VARCHAR" for name in FIELDS
    )
    reader = (
        f"read_parquet('{glob}', hive_partitioning=true)"
        if file_format == "parquet"
        else f"read_json('{glob}', format='newline_delimited', hive_partitioning=true, columns={{"
        + ", ".join(f"'{name}': 'VARCHAR'" for name in FIELDS)
        + "})"
    )
    if not any(lake.glob("attendance/**/*.*")):
        return []
    return sorted(duckdb.execute(f"SELECT {columns} FROM {reader}").fetchall(), key=repr)


def due(rows: Iterable[dict[str, Any]]) -> list[tuple[str | None, ...]]:
    """The sandbox's rows as they must land: empty text as null, instants in UTC with six digits."""
    return sorted((tuple(_as_landed(name, row.get(name)) for name in FIELDS) for row in rows), key=repr)


def _as_landed(name: str, value: str | None) -> str | None:
    if name in ("created", "last_modified") and value:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value or None


def files(lake: Path) -> dict[str, bytes]:
    """Every landed file's bytes by its path in the lake."""
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.glob("attendance/**/*") if path.is_file()}
