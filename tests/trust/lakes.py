"""The small district in a lake of files, pulled again and again."""

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.transfer.result import TransferResult
from tests.support.asking import ask

FIRST, LAST = date(2026, 11, 2), date(2026, 11, 23)
DAYS = {"first_day": FIRST, "last_day": LAST}


class Lake:
    """The small district, landed once over three weeks."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.schools = sandbox.district("small").schools
        self.pulls = 0
        first = self.pull()
        assert first.problem is None
        self.requests = first.summary["requests"]

    def pull(self, **options: Any) -> TransferResult:
        self.pulls += 1
        options.setdefault("work", f"work {self.pulls}")
        return ask(self.sandbox, self.folder, **{**DAYS, **options})

    def rows(self, school: str) -> list[dict[str, Any]]:
        """What Clever has of a school."""
        return self.sandbox.expected("small", school_id=self.schools[school], date_range_start=FIRST.isoformat())

    def marks(self) -> Counter[str]:
        """Rows that are marked missing, by school name."""
        found = duckdb.sql(
            f"SELECT school_id, count(missing_since) FROM '{self.folder}/attendance/**/*.parquet' GROUP BY ALL"
        ).fetchall()
        names = {school_id: name for name, school_id in self.schools.items()}
        return Counter({names[school_id]: count for school_id, count in found if count})

    def receipt(self, answer: TransferResult) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(gzip.decompress((self.folder / answer.summary["receipt"]).read_bytes()))
        return document

    def answers(self) -> dict[str, Any]:
        (path,) = self.folder.glob("_clever/*/answers.json")
        document: dict[str, Any] = json.loads(path.read_text())
        return document
