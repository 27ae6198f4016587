"""Schemathesis asks the sandbox whatever the statement of the API allows, and much that it forbids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.sandbox.wire import RANGE, ask, attendance, cursor_of, links

EXAMPLES = 12
"""For each operation; with the cases that schemathesis works out from the document, about 4,000 requests in all."""

CONFIG = """
seed = 7
continue-on-failure = true

[generation]
max-examples = {examples}
deterministic = true

[phases]
stateful.enabled = false

[auth.openapi]
districtToken = {{ bearer = "{token}" }}
clientCredentials = {{ username = "{client_id}", password = "{client_secret}" }}

[dictionaries]
schools.values = {schools}
sections.values = {sections}
cursors.values = {cursors}

early.values = ["2026-11-09", "2026-11-16"]
late.values = ["2026-11-20", "2026-11-13"]

[checks]
# 413 is what a roster list answers beyond its largest limit.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413]

[[operations]]
include-tag = "attendance"
parameters."path.school_id" = {{ dictionary = "schools" }}
parameters."path.section_id" = {{ dictionary = "sections" }}
parameters."query.date_range_start" = {{ dictionary = "early" }}
parameters."query.date_range_end" = {{ dictionary = "late" }}
parameters."query.starting_after" = {{ dictionary = "cursors" }}
parameters."query.ending_before" = {{ dictionary = "cursors" }}
# OpenAPI cannot say that the dates belong together, or that there is one cursor: test_refusals.py does.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id-regex = "^list(Schools|Sections|Users|Events)"
# Two cursors at once, as above.
checks.positive_data_acceptance.enabled = false
"""


@pytest.fixture(scope="module")
def unlimited() -> Iterator[Sandbox]:
    """A sandbox whose rate limit does not get in the way."""
    with running_sandbox(today="2026-11-23", rate_limit=10**9, districts="small") as running:
        yield running


def write_config(sandbox: Sandbox, path: Path) -> None:
    district = sandbox.district("small")
    sections = [item["data"]["id"] for item in ask(sandbox, "/v3.1/sections").json()["data"]]
    pages = [ask(sandbox, attendance(school), limit=7, **RANGE) for school in district.school_ids]
    path.write_text(
        CONFIG.format(
            examples=EXAMPLES,
            token=district.token,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            schools=json.dumps(district.school_ids),
            sections=json.dumps(sections),
            cursors=json.dumps([cursor_of(links(page)["next"]) for page in pages]),
        )
    )


def test_the_sandbox_keeps_to_the_statement_whatever_is_asked(unlimited: Sandbox, tmp_path: Path) -> None:
    write_config(unlimited, tmp_path / "schemathesis.toml")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml"), "run"]
    run = subprocess.run(
        [*command, f"{unlimited.url}/openapi.json", "--workers", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert unlimited.counters()["total"] > 1_000
