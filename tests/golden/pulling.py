"""Pull a recorded night into a lake, as the nightly DAG does: land, then record what is covered.

Also run as a process of its own, by the version of the package that stands in the current folder::

    python -m tests.golden.pulling LAKE FORMAT NIGHT.json ...

Of each night it writes the summary, and what made the run a failure, as one line of JSON.
"""

import json
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import fsspec

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.absence import AbsenceRules
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.ledger.coverage_store import Listing, record_coverage
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.transfer.result import TransferResult
from airflow_provider_clever.transfer.transfer import Transfer
from tests.golden.recorded import Night, answering


def pull(told: Night, lake: Path, file_format: str, *, work: str) -> TransferResult:
    """Land one night with its correction feed, and record the coverage.

    :param work: what identifies the work; the same for two tries of one.
    """
    today = date.fromisoformat(told["today"])
    fs, stop = fsspec.filesystem("file"), threading.Event()
    question = Question(
        first_day=date.fromisoformat(told["date_range_start"]), last_day=date.fromisoformat(told["date_range_end"])
    )
    with answering(told) as origin:
        settings = CleverSettings(api_base=origin, token="golden", district_id=told["district"]["id"])
        with CleverClient(settings, stop=stop) as client:
            answer = Transfer(client, question, stop=stop, max_concurrency=2).land(
                lambda district_id: Destination(fs, str(lake), district_id=district_id, file_format=file_format),
                idempotency_key=IdempotencyKey.of(work, month=f"{today:%Y-%m}"),
                today=today,
                write_changes=True,
                absence=AbsenceRules(confirm_seconds=0),
            )
    schools = {school["id"]: school["name"] for school in told["schools"]}
    record_coverage(objects_at(fs, str(lake)), told["district"]["id"], Listing(today=today, schools=schools))
    return answer


def main(lake: str, file_format: str, *names: str) -> None:
    """Pull nights, one after another, and write what came of each."""
    for name in names:
        answer = pull(json.loads(Path(name).read_text()), Path(lake), file_format, work=name)
        told: dict[str, Any] = {"summary": answer.summary, "problem": answer.problem and str(answer.problem)}
        sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
