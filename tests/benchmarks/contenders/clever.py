"""This provider: the transfer that its operator makes, to a folder.

Options: ``file_format``; ``rows_a_weekday``, of a school, as its plan would know them; ``max_concurrency`` and
``budget_share``, the product's defaults if absent; ``in_airflow``: also import what a task process of Airflow has
imported, and tell the memory of that; ``landing_clock``: tell the CPU seconds of landing; ``operator``: go through
CleverAttendanceOperator instead.
"""

import json
import os
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
from measuring import Job, main, memory_megabytes

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.ledger.task_sizing import expected_requests
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.transfer.transfer import Transfer
from tests.support.outlet_events import OutletEvents

told: dict[str, float] = {}


def transfer(job: Job) -> None:
    """Land the schools' days, as the operator would."""
    wanted = {name: job.options[name] for name in ("max_concurrency",) if name in job.options}
    share = {name: job.options[name] for name in ("budget_share",) if name in job.options}
    settings = CleverSettings(api_base=job.origin, auth_base=job.origin, token=job.token, **share)
    question = Question(
        first_day=date.fromisoformat(job.first_day),
        last_day=date.fromisoformat(job.last_day),
        school_ids=tuple(job.school_ids),
        expected_requests=_expected_requests(job),
    )
    stop = threading.Event()
    told["landing_cpu_seconds"] = 0.0

    def destination_of(district_id: str) -> Destination:
        return Destination(
            fsspec.filesystem("file"),
            str(Path(job.folder, "lake").resolve()),
            district_id=district_id,
            file_format=job.options["file_format"],
        )

    with CleverClient(settings, stop=stop) as client:
        answer = Transfer(client, question, stop=stop, **wanted).land(
            destination_of,
            idempotency_key=IdempotencyKey("be" * 8, job.last_day[:7]),
            today=date.fromisoformat(job.last_day),
        )
    if answer.problem:
        raise answer.problem


def _expected_requests(job: Job) -> int | None:
    """What the plan hands to each task; None: it was not planned."""
    if "rows_a_weekday" not in job.options:
        return None
    span = DateRange(date.fromisoformat(job.first_day), date.fromisoformat(job.last_day))
    return len(job.school_ids) * expected_requests(span, job.options["rows_a_weekday"])


def operate(job: Job) -> None:
    """The same through the operator."""
    from airflow_provider_clever.operators.clever import CleverAttendanceOperator

    host = {"conn_type": "clever", "host": job.origin, "password": job.token, "extra": {"auth_base": job.origin}}
    os.environ["AIRFLOW_CONN_CLEVER_DEFAULT"] = json.dumps(host)
    pull_days = CleverAttendanceOperator(
        task_id="pull_days",
        date_range_start=job.first_day,
        date_range_end=job.last_day,
        school_ids=job.school_ids,
        expected_requests=_expected_requests(job),
        destination=Path(job.folder, "lake").as_uri(),
        file_format=job.options["file_format"],
    )
    moment = datetime.now(UTC)
    run = SimpleNamespace(logical_date=moment, run_after=moment, start_date=moment, conf={}, run_type="manual")
    names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
    task = SimpleNamespace(**names, xcom_push=lambda *_, **__: None)
    dag = SimpleNamespace(timezone=UTC)
    context: Any = {"ti": task, "dag_run": run, "params": {}, "dag": dag, "outlet_events": OutletEvents()}
    pull_days.execute(context)


def pull(job: Job) -> None:
    """One pull, in the way that the options say."""
    Path(job.folder, "lake").mkdir(parents=True, exist_ok=True)
    (operate if job.options.get("operator") else transfer)(job)


def count(job: Job) -> int:
    """The rows that the files themselves tell."""
    lake = Path(job.folder, "lake", "attendance")
    if job.options["file_format"] == "jsonl":
        import gzip

        return sum(gzip.decompress(file.read_bytes()).count(b"\n") for file in lake.glob("**/*.jsonl.gz"))
    import pyarrow.parquet  # not sooner: how Arrow takes memory is settled when it is loaded, and a pull settles it

    return sum(pyarrow.parquet.read_metadata(file).num_rows for file in lake.glob("**/*.parquet"))


def _clock_landing() -> None:
    """Let each thread read its own CPU clock around the landing of a day."""
    lock, land = threading.Lock(), Destination.land

    def timed(self: Destination, *args: Any, **kwargs: Any) -> Any:
        before = time.thread_time()
        try:
            return land(self, *args, **kwargs)
        finally:
            with lock:
                told["landing_cpu_seconds"] += time.thread_time() - before

    Destination.land = timed  # type: ignore[method-assign]  # measuring is all that it changes


if __name__ == "__main__":
    options = json.loads(Path(sys.argv[1]).read_text())["options"]
    if options.get("landing_clock"):
        _clock_landing()
    if options.get("in_airflow"):
        import airflow_provider_clever.hooks.clever  # noqa: F401 - its import is what is measured
        from airflow_provider_clever.memory import spare_memory

        spare_memory()
        import pyarrow.parquet  # noqa: F401 - as before

        told["idle_megabytes"] = memory_megabytes()
    main(pull, count, lambda: dict(told))
