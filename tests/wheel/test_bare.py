"""The provider without any extra: what it adds to an Airflow, and what parsing its DAGs costs."""

import json
import logging
import re

from tests.support.airflow import AirflowHome
from tests.wheel.environments import ROOT, Environment

PARSED_MILLISECONDS = 60.0
RUNS = 5

ADDED = """
import json
from importlib.metadata import PackageNotFoundError, distributions, requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

def closure(name, extras=frozenset()):
    wanted, seen = [(name, frozenset(extras))], set()
    while wanted:
        name, extras = wanted.pop()
        if (name, extras) in seen:
            continue
        try:
            lines = requires(name) or ()
        except PackageNotFoundError:
            continue
        seen.add((name, extras))
        for each in map(Requirement, lines):
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                wanted.append((canonicalize_name(each.name), frozenset(each.extras)))
    return {name for name, _ in seen}

print(json.dumps(sorted(closure("airflow-provider-clever") - closure("apache-airflow"))))
"""

PARSED = """
import time
import airflow.sdk
start = time.process_time()
from airflow_provider_clever.dags import attendance_dags
from airflow_provider_clever.operators.clever import CleverAttendanceOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor
assert attendance_dags([{"district_id": "65e000000000000000000001", "destination": "file:///lake"}])
print((time.process_time() - start) * 1000)
"""


def test_airflow_knows_the_provider(bare_home: AirflowHome) -> None:
    told = bare_home.command(
        "providers", "get", "airflow-provider-clever", "--full", "--output", "json", timeout_seconds=120
    ).stdout
    assert "connection-type" in told


def test_it_adds_to_airflows_own_packages_what_the_documentation_lists(bare: Environment) -> None:
    added = set(json.loads(bare.run("python", "-c", ADDED).stdout))
    (listed,) = re.findall(r"^\| none \|.*\| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert added - {"airflow-provider-clever"} == set(re.findall(r"`([a-z0-9-]+)`", listed))


def test_the_command_line_says_how_to_install_the_sandbox(bare: Environment) -> None:
    done = bare.run("clever-attendance", "sandbox", check=False)
    assert (done.returncode, "pip install 'airflow-provider-clever[sandbox]'" in done.stdout) == (2, True)
    assert "Traceback" not in done.stdout


def test_parsing_operators_sensor_and_factory_costs_little_over_airflow_itself(bare: Environment) -> None:
    # The best of several: CPU time, too, grows with what else runs on the cores.
    home = str(bare.path / "home")
    parsed = [float(bare.run("python", "-c", PARSED, AIRFLOW_HOME=home).stdout.splitlines()[-1]) for _ in range(RUNS)]
    logging.getLogger(__name__).info("parsing costs %.0f ms; runs: %s", min(parsed), [round(each) for each in parsed])
    assert min(parsed) <= PARSED_MILLISECONDS
