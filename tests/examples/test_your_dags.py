"""The how-to about testing your own DAGs works as it is written: its files are taken from the page and run."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.airflow import AirflowHome
from tests.support.dag_bag import TESTS_WHAT_IT_HOLDS

PAGE = Path(__file__).parents[2] / "docs/how-to/test-your-dags.md"
NAMES = ("attendance_dag.py", "conftest.py", "test_attendance_dag.py")
RUN_SECONDS = 300.0


def test_the_tests_of_the_how_to_pass_as_they_stand_there(airflow_home: AirflowHome) -> None:
    for name, text in zip(
        NAMES, re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL), strict=True
    ):
        (airflow_home.dags / name).write_text(text)
    if TESTS_WHAT_IT_HOLDS:
        airflow_home.command("dags", "reserialize")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={airflow_home.dags}", "."],
        cwd=airflow_home.dags,
        env=airflow_home.environment(),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-5000:]
    assert "4 passed" in done.stdout
