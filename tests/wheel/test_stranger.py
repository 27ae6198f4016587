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
from tests.wheel.environments import AIRFLOW, DIST, ROOT, Environment, Wheels, plain_environment, uv

LIMIT_SECONDS = 900


def tutorials_commands() -> str:
    """The code blocks that stand under the marker in the tutorial and its next page, one after the other."""
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("tutorial.md", "tutorial-table.md"))
    blocks = re.findall(r"^<!-- make wheel runs this -->\n```sh\n(.*?)^```", pages, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    return "".join(blocks)


def pinned(package: str, pins: str) -> str:
    """Give the requirement for a package in the version that some pins have."""
    (line,) = re.findall(rf"^{package}==\S+", pins_of(pins), re.MULTILINE)
    return str(line)


def pins_of(name: str) -> str:
    """Give the text of a file of pins."""
    return (ROOT / "requirements" / name).read_text()


@pytest.mark.long
@pytest.mark.parametrize("pins", ["wheel.txt", "matrix/lowest.txt"])
def test_the_tutorials_own_commands_land_every_row_from_the_packages_alone(
    wheels: Wheels, tmp_path: Path, pins: str
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "dist").symlink_to(DIST)
    # python3 is this one; versions are pinned, so that a release of somebody else's cannot break the test.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = plain_environment() | {"PATH": path, "PIP_CONSTRAINT": str(ROOT / "requirements" / pins)}
    commands = tutorials_commands().replace(AIRFLOW, pinned("apache-airflow", pins))
    with (tmp_path / "output").open("w+") as output:
        typed = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", commands],
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


@pytest.mark.long
def test_beside_the_constraints_of_the_first_airflow_the_packages_install_in_two_steps(
    wheels: Wheels, tmp_path: Path
) -> None:
    # What the constraints of 3.1.0 say of the package that the page names; the others are as old as they were then.
    own = re.sub(r"(?m)^(apache-airflow-providers-common-compat)==.*", r"\1==1.7.4", pins_of("matrix/lowest.txt"))
    (tmp_path / "of-airflow.txt").write_text(own)
    (tmp_path / "ours.txt").write_text(
        "\n".join(
            pinned(name, "wheel.txt") for name in ("apache-airflow-providers-common-compat", "pyarrow", "aiohttp")
        )
    )
    airflow, stranger = pinned("apache-airflow", "matrix/lowest.txt"), Environment(tmp_path / "environment")
    uv("venv", "--quiet", "--python", sys.executable, str(stranger.path))

    def install(constraints: str, *requirements: str) -> None:
        where = ("--python", str(stranger.python), "--find-links", str(DIST))
        uv("pip", "install", "--quiet", *where, "--constraints", str(tmp_path / constraints), *requirements)

    with pytest.raises(AssertionError, match="common-compat"):
        install("of-airflow.txt", airflow, wheels.provider_with("parquet"))
    install("of-airflow.txt", airflow)
    install("ours.txt", airflow, wheels.provider_with("parquet"))

    assert f"Airflow {airflow.partition('==')[2]}," in stranger.run("clever-attendance", "--version").stdout
    told = stranger.run("airflow", "providers", "get", "airflow-provider-clever", AIRFLOW_HOME=str(tmp_path / "home"))
    assert "airflow-provider-clever" in told.stdout
