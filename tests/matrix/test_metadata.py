"""What this Airflow knows of the provider: its modules, its hook, and the connection's form."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow import ROOT, AirflowHome
from tests.support.features import READS_FORM_FROM_METADATA

GOLDEN = Path(__file__).with_name("form.json")
FORM = """
import json, sys
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(form,) = (found for found in HookMetaService.hook_meta_data() if found.connection_type == "clever")
sys.stdout.write("\\n" + json.dumps(form.model_dump(mode="json")))
"""


@pytest.fixture(scope="module")
def home(migrated_home: AirflowHome) -> AirflowHome:
    return migrated_home


def test_airflow_gets_the_provider_by_name(home: AirflowHome) -> None:
    (told,) = home.json_of("providers", "get", "airflow-provider-clever", "--full")
    assert told["package-name"] == "airflow-provider-clever"
    assert "airflow_provider_clever.hooks.clever" in str(told["hooks"])


def test_airflow_lists_its_hook(home: AirflowHome) -> None:
    (hook,) = (found for found in home.json_of("providers", "hooks") if found["connection_type"] == "clever")
    assert hook["class"] == "airflow_provider_clever.hooks.clever.CleverHook"
    assert hook["conn_id_attribute_name"] == "clever_conn_id"


def test_airflow_lists_its_triggers(home: AirflowHome) -> None:
    assert "airflow_provider_clever.triggers.clever" in {
        found["class"] for found in home.json_of("providers", "triggers")
    }


def simple(form: dict[str, Any]) -> dict[str, Any]:
    """What every Airflow says of a form: older ones know neither numbers nor formats."""
    extra = {
        name: [field["schema"]["title"], field["description"], str(field["value"])]
        for name, field in form["extra_fields"].items()
    }
    return {"name": form["hook_name"], "standard_fields": form["standard_fields"], "extra_fields": extra}


def test_the_form_is_the_golden_one(home: AirflowHome) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORM],
        env=home.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    form = json.loads(told.stdout.splitlines()[-1])
    if form["standard_fields"] is None and not READS_FORM_FROM_METADATA and find_spec("flask_appbuilder") is None:
        pytest.skip("this Airflow shows no provider's fields without the FAB provider")
    assert simple(form) == json.loads(GOLDEN.read_text())
    if READS_FORM_FROM_METADATA:
        assert form["extra_fields"]["budget_share"]["schema"]["type"] == ["number", "null"]
