"""Land the seeded district through Airflow and print a digest of its rows: ``python -m tests.matrix.landed_rows``.

Each cell of the matrix runs it; the digests of all cells have to be the same. Rows are compared, not files: another
pyarrow writes other bytes for the same rows.
"""

import hashlib
import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from airflow_provider_clever.sandbox.testing import running_sandbox
from tests.support.airflow import AirflowHome
from tests.support.asking import due, landed
from tests.support.features import features

TODAY: Final = "2026-11-23"
DATES: Final = {"date_range_start": "2026-06-01", "date_range_end": TODAY}
FORMATS: Final = ("parquet", "jsonl")
NAMED: Final = ("apache-airflow", "apache-airflow-providers-common-compat", "pydantic", "pyarrow", "aiohttp", "s3fs")

DAG: Final = """
from airflow.sdk import DAG

from airflow_provider_clever.operators.clever import CleverAttendanceOperator

with DAG("landed_rows", schedule=None):
    for file_format in {formats!r}:
        CleverAttendanceOperator(
            task_id=file_format,
            destination={lake!r} + "/" + file_format,
            file_format=file_format,
            district_id={district!r},
            **{dates!r},
        )
"""


def facts() -> dict[str, Any]:
    """Give the digest of the rows that landed, how many there are, and beside which versions.

    :raises SystemExit: what landed is not what the sandbox holds, or differs between the formats.
    """
    with running_sandbox(today=TODAY) as sandbox, tempfile.TemporaryDirectory() as folder:
        lake = Path(folder, "lake")
        district = sandbox.district("small").id
        text = DAG.format(formats=FORMATS, lake=lake.as_uri(), district=district, dates=DATES)
        home = AirflowHome.create(Path(folder, "home"))
        outcome = home.run_dag(text, connections={"clever_default": sandbox.connection_json()})
        if outcome.state != "success":
            sys.exit(f"The run ended as {outcome.state}:\n{outcome.log[-8000:]}")
        expected = due(sandbox.iter_expected("small", **DATES))
        for file_format in FORMATS:
            if landed(lake / file_format, file_format) != expected:
                sys.exit(f"The rows that landed as {file_format} are not those of the sandbox.")
    return {
        "rows": hashlib.sha256(json.dumps(expected).encode()).hexdigest(),
        "rows_counted": len(expected),
        "features": features(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in NAMED},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
