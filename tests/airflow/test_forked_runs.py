"""A DAG run in a forked process finds and leaves what it would in a fresh one."""

import json
import os
import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.airflow import AirflowHome

LOOK_AROUND = dedent(
    """
    import builtins
    import os
    import signal
    import sys
    import threading

    from airflow.sdk import dag, task

    @dag(schedule=None)
    def look_around():
        @task
        def look():
            from airflow.sdk import Variable
            from airflow.utils.session import create_session
            from sqlalchemy import text

            with create_session() as session:
                runs = session.execute(text("select count(*) from dag_run")).scalar()
                database = session.execute(text("pragma database_list")).first()[2]
            seen = {
                "database": os.path.realpath(database),
                "runs": runs,
                "variable": Variable.get("seen", "none"),
                "left": [name for name in ("LEFT_BEHIND",) if name in os.environ or hasattr(builtins, name)],
                "ours": [name for name in sys.modules if name.startswith("airflow_provider_clever.pull")],
                "parent": os.getppid(),
                "alone": os.getsid(0) == os.getpid(),
            }
            os.environ["LEFT_BEHIND"] = "yes"
            builtins.LEFT_BEHIND = True
            return seen

        look()

    look_around()
    """
)
NO_DAG = """# Airflow passes over a file that does not speak of a dag
import json
import os

from airflow.configuration import conf
from airflow.settings import TIMEZONE

seen = {"zone": TIMEZONE.name, "parallelism": conf.get("core", "parallelism"), "parent": os.getppid()}
raise RuntimeError(f"seen: {json.dumps(seen)}")
"""
WAIT_FOR_EVER = dedent(
    """
    import os
    import subprocess
    import time
    from pathlib import Path

    from airflow.sdk import dag, task

    @dag(schedule=None)
    def wait_for_ever():
        @task
        def wait():
            started = subprocess.Popen(["sleep", "600"])
            Path({pids!r}).write_text(f"{{os.getpid()}} {{started.pid}}")
            print("waiting for ever", flush=True)
            time.sleep(600)

        wait()

    wait_for_ever()
    """
)


def test_a_run_finds_its_own_home_and_variables_and_nothing_that_an_earlier_run_left(
    migrated_home: AirflowHome, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        home = migrated_home.copy(tmp_path / name)
        seen = home.run_dag(LOOK_AROUND, env={"AIRFLOW_VAR_SEEN": name}).xcom("look")
        assert seen["database"] == str((home.path / "airflow.db").resolve())
        assert (seen["runs"], seen["variable"], seen["left"], seen["ours"]) == (1, name, [], [])
        assert seen["alone"]
        assert seen["parent"] != os.getpid()
    assert home.run_dag(LOOK_AROUND).xcom("look")["runs"] == 2


def seen_when_imported(home: AirflowHome, env: dict[str, str] | None = None) -> dict[str, object]:
    """What a DAG file finds; it goes no further, for a fresh process takes seven seconds more to run a DAG."""
    with pytest.raises(AssertionError, match="seen: ") as stopped:
        home.run_dag(NO_DAG, env=env)
    *_, last = re.findall(r"seen: (\{.*?\})", str(stopped.value))
    return json.loads(last)


def test_settings_that_airflow_reads_when_it_is_imported_take_a_fresh_process(airflow_home: AirflowHome) -> None:
    seen = seen_when_imported(
        airflow_home, {"AIRFLOW__CORE__DEFAULT_TIMEZONE": "America/Denver", "AIRFLOW__CORE__PARALLELISM": "3"}
    )
    assert (seen["zone"], seen["parallelism"], seen["parent"]) == ("America/Denver", "3", os.getpid())


def test_a_home_with_a_configuration_file_of_its_own_takes_a_fresh_process(airflow_home: AirflowHome) -> None:
    (airflow_home.path / "airflow.cfg").write_text("[core]\nparallelism = 5\ndefault_timezone = America/Denver\n")
    seen = seen_when_imported(airflow_home)
    assert (seen["zone"], seen["parallelism"], seen["parent"]) == ("America/Denver", "5", os.getpid())


def test_a_run_that_takes_too_long_is_killed_with_what_it_started_and_the_next_one_runs(
    airflow_home: AirflowHome, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(AssertionError, match=r"(?s)took longer than .* s:.*waiting for ever"):
        airflow_home.run_dag(WAIT_FOR_EVER.format(pids=str(pids)), timeout_seconds=20)
    assert [_is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]
    assert airflow_home.run_dag(LOOK_AROUND).state == "success"


def test_a_file_that_cannot_be_imported_fails_the_test_and_shows_why(airflow_home: AirflowHome) -> None:
    with pytest.raises(AssertionError, match=r"(?s)dag_run_child.*ended with 1:.*No module named 'airflow.nothing'"):
        airflow_home.run_dag("import airflow.nothing  # no dag")


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
