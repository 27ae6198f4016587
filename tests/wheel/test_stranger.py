"""Someone who has the two packages and no checkout types what the tutorial says."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pyiceberg.table import StaticTable

from airflow_provider_clever.sandbox.testing import running_sandbox
from tests.demo import lake_beside_due, rows_that_differ
from tests.wheel.environments import DIST, ROOT, Wheels, plain_environment

LIMIT_SECONDS = 900


def tutorials_commands() -> str:
    """The code blocks that stand under the marker in the tutorial and its next page, one after the other."""
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("tutorial.md", "tutorial-table.md"))
    blocks = re.findall(r"^<!-- make wheel runs this -->\n```sh\n(.*?)^```", pages, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    return "".join(blocks)


@pytest.mark.long
def test_the_tutorials_own_commands_land_every_row_from_the_packages_alone(wheels: Wheels, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "dist").symlink_to(DIST)
    # python3 is this one; versions are pinned, so that a release of somebody else's cannot break the test.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = plain_environment() | {"PATH": path, "PIP_CONSTRAINT": str(ROOT / "requirements/wheel.txt")}
    with (tmp_path / "output").open("w+") as output:
        typed = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", tutorials_commands()],
            cwd=stranger,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = typed.wait(LIMIT_SECONDS)
        finally:
            # The sandbox that it starts is in its group, and outlives a command that fails.
            with suppress(ProcessLookupError):
                os.killpg(typed.pid, signal.SIGKILL)
            typed.wait(10)
        output.seek(0)
        assert status == 0, output.read()[-6000:]
    with running_sandbox(districts="small") as sandbox:
        due = sandbox.expected("small")
    database = lake_beside_due(stranger / "lake", due, tmp_path / "due.jsonl")
    assert database.sql("SELECT count(*) FROM landed").fetchall() == [(len(due),)]
    assert len(due) > 1000
    assert StaticTable.from_metadata(str(stranger / "lake/iceberg/clever.attendance")).scan().count() == len(due)
    assert rows_that_differ(database) == 0
