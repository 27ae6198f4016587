"""Run DAGs night after night with ``dag.test()``, each at a moment of its own.

The clock of this process is moved, so Airflow, the operators and the receipts that they write all see the night's date;
the sandbox's clock is moved by its control route. One process for all nights: importing Airflow takes longer than one.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
import time_machine

from tests.support.dag_run_child import only_dag, outcome_of


def main(job_file: Path) -> None:
    """Run the nights that the job lists, and write what became of them beside it."""
    job = json.loads(job_file.read_text())
    ids = {night["dag_id"] or job["dag_id"] for night in job["nights"]}
    dags = {dag_id: only_dag(dag_id) for dag_id in ids}
    told = []
    for night in job["nights"]:
        _at_the_sandbox(job["sandbox"], night["before"])
        moment = datetime.fromisoformat(night["now"])
        with time_machine.travel(moment, tick=True):
            run = dags[night["dag_id"] or job["dag_id"]].test(logical_date=moment)
            told.append(outcome_of(run))
    Path(job["outcome"]).write_text(json.dumps(told, default=str))


def _at_the_sandbox(url: str, requests_to_make: list[tuple[str, str, Any]]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for method, path, body in requests_to_make:
            session.request(method, f"{url}/_sandbox/{path}", json=body, timeout=300).raise_for_status()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
