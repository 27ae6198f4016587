"""Run an ``airflow`` command in a process that has imported Airflow already: ``main`` of this module, in a fork."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(job_file: Path) -> None:
    """Run the command whose words the job holds; it ends this process as it would its own."""
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", *json.loads(job_file.read_text())["words"]]
    airflow()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
