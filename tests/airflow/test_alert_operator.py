"""The operator that tells, in DAGs by hand: mapped over districts, run twice, of a district that was forgotten."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_provider_clever.exceptions import CleverAlertError, CleverSettingsError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.operators.clever import CleverAttendanceAlertOperator, CleverAttendanceCoverageOperator
from tests.support.airflow import AirflowHome

DISTRICTS = [f"65e00000000000000000000{number}" for number in (1, 2, 3)]

DAG = """
from airflow.sdk import DAG, BaseNotifier
from airflow_provider_clever.operators.clever import CleverAttendanceAlertOperator

class File(BaseNotifier):
    template_fields = ("title",)

    def __init__(self, path, title="{{ alert.title }}", **kwargs):
        super().__init__(**kwargs)
        self.path, self.title = path, title

    async def async_notify(self, context):
        with open(self.path, "a") as file:
            file.write(self.title + "\\n")

with DAG("by_hand", schedule=None, params={"twice": False}):
    first = CleverAttendanceAlertOperator.partial(
        task_id="tell",
        destination="LAKE",
        expected_by="00:00",
        timezone="America/Chicago",
        on_problem=[File("TOLD")],
    ).expand(district_id=DISTRICTS)
"""


def test_a_mapped_task_tells_of_each_district_once_and_of_a_forgotten_one_nothing(
    airflow_home: AirflowHome, tmp_path: Path
) -> None:
    lake, told = tmp_path / "lake", tmp_path / "told.txt"
    for district_id in DISTRICTS:
        file = lake / f"_clever/district={district_id}/alerts.json"
        file.parent.mkdir(parents=True)
        before = {"schema_version": 1, "district_id": district_id, "watched_since": "2026-01-05"}
        file.write_text(json.dumps(before | ({"name": "Maple Valley"} if district_id == DISTRICTS[0] else {})))
    Forgetting(open_destination(lake.as_uri()).objects, DISTRICTS[2], longest_task_hours=0).district()
    source = DAG.replace("LAKE", lake.as_uri()).replace("TOLD", str(told)).replace("DISTRICTS", repr(DISTRICTS))
    for _ in range(2):
        outcome = airflow_home.run_dag(source)
        assert outcome.state == "success", outcome.log[-3000:]
    assert sorted(told.read_text().splitlines()) == [
        f"{DISTRICTS[1]}: not in by 00:00",
        "Maple Valley: not in by 00:00",
    ]
    assert "was forgotten here" in outcome.log
    kept = json.loads((lake / f"_clever/district={DISTRICTS[0]}/alerts.json").read_text())
    assert list(kept["notifiers"]) == ["File"], "where a DAG file lies is not part of a notifier's name"


class Kept(BaseNotifier):
    """Keeps the titles of what it is told, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error, self.titles = error, list[str]()

    def notify(self, context: Any) -> None:
        if self.error:
            raise self.error
        self.titles.append(context["alert"].title)


def tell(lake: Path, notifiers: object, run_type: str = "manual") -> int:
    operator = CleverAttendanceAlertOperator(
        task_id="tell", destination=lake.as_uri(), district_id=DISTRICTS[0], expected_by="00:00", on_problem=notifiers
    )
    task = SimpleNamespace(dag_id="d", run_id="r", task_id="tell", map_index=-1, task=operator)
    return int(operator.execute({"ti": task, "dag_run": SimpleNamespace(run_type=SimpleNamespace(value=run_type))}))  # type: ignore[arg-type, typeddict-item]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    file = tmp_path / f"_clever/district={DISTRICTS[0]}/alerts.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"schema_version": 1, "district_id": DISTRICTS[0], "watched_since": "2026-01-05"}))
    return tmp_path


def test_a_backfill_tells_nobody_and_the_run_after_it_does(lake: Path) -> None:
    kept = Kept()
    assert tell(lake, kept, "backfill") == 0
    assert tell(lake, kept, "scheduled") == 1
    assert kept.titles == [f"{DISTRICTS[0]}: not in by 00:00"]


def test_of_two_notifiers_the_one_that_failed_alone_is_tried_again_and_its_error_shows_no_address(lake: Path) -> None:
    kept, broken = Kept(), Kept(ConnectionError("POST https://hooks.example/T0/secret: no such host"))
    with pytest.raises(CleverAlertError) as error:
        tell(lake, [broken, kept])
    assert "Kept could not be told" in str(error.value)
    assert "(ConnectionError: POST … no such host)" in str(error.value)
    broken.error = None
    assert tell(lake, [broken, kept]) == 1
    assert (len(kept.titles), len(broken.titles)) == (1, 1)


def test_a_first_look_at_a_district_of_which_nothing_has_landed_tells_nothing(tmp_path: Path) -> None:
    kept = Kept()
    assert tell(tmp_path, kept) == 0
    assert (tmp_path / f"_clever/district={DISTRICTS[0]}/alerts.json").exists()


def test_arguments_of_an_operator_are_checked_when_the_file_is_parsed() -> None:
    with pytest.raises(CleverSettingsError, match="on_problem is missing"):
        CleverAttendanceAlertOperator(task_id="a", destination="/lake")
    with pytest.raises(CleverSettingsError, match="expected_by needs on_problem"):
        CleverAttendanceCoverageOperator(task_id="b", destination="/lake", expected_by="09:30")
    with pytest.raises(CleverSettingsError, match=r"expected_by is '9\.30'"):
        CleverAttendanceCoverageOperator(task_id="c", destination="/lake", on_problem=Kept(), expected_by="9.30")
