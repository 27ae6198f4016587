"""``clever-attendance plan``: what is due of a district, before and after it has landed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.integration.ledger.nights import Nights


@pytest.fixture
def plan(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", sandbox.connection_json("small"))

    def plan(*options: str) -> str:
        assert main(["plan", str(tmp_path), "--today", sandbox.today, *options]) == 0
        return capsys.readouterr().out

    return plan


def test_everything_is_due_of_a_district_that_never_landed_and_little_afterwards(
    sandbox: Sandbox, tmp_path: Path, plan: Callable[..., str]
) -> None:
    before: dict[str, Any] = json.loads(plan("--json"))
    Nights(sandbox, tmp_path).night()
    after: dict[str, Any] = json.loads(plan("--json"))

    small = sandbox.district("small")
    assert before["district_id"] == after["district_id"] == small.id
    assert {school["school_id"] for school in before["schools"]} == set(small.school_ids)
    assert before["tasks"]
    assert all(school["due_days"] for school in before["schools"])
    assert not any(school["due_days"] for school in after["schools"])
    assert after["tasks"] == []


def test_the_table_names_the_district_its_schools_and_the_cost(sandbox: Sandbox, plan: Callable[..., str]) -> None:
    table = plan("--all")

    small = sandbox.district("small")
    for name, school_id in small.schools.items():
        assert (name.split()[0] in table) is (school_id in small.school_ids)
    for word in ("retained", "due", "requests", "minutes"):
        assert word in table.lower()
