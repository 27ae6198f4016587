"""The how-to about testing your own DAGs works as it is written: its files and commands are taken from the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.dag_bag import TESTS_WHAT_IT_HOLDS

PAGE = Path(__file__).parents[2] / "docs/how-to/test-your-dags.md"
NAMES = ("attendance_dag.py", "conftest.py", "test_attendance_dag.py")
RUN_SECONDS = 300.0


def test_the_tests_of_the_how_to_pass_as_they_stand_there(tmp_path: Path) -> None:
    for name, text in zip(NAMES, blocks("python"), strict=True):
        (tmp_path / name).write_text(text)
    (typed,) = blocks("sh")
    before, tests = typed.split("python -m pytest")
    reserialized = "airflow dags reserialize" if TESTS_WHAT_IT_HOLDS else ""

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{before}\n{reserialized}\npython -m pytest -q{tests}"],
        cwd=tmp_path,
        env=of_a_stranger(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "4 passed" in done.stdout


def blocks(language: str) -> list[str]:
    """Give the page's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def of_a_stranger() -> dict[str, str]:
    """Give the variables of a shell in which nothing was said to Airflow yet, and in which this Python is first."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTEST"))
    }
    return plain | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_PROXY": "*"}
