"""The compatibility page says what was run, and nothing else."""

import json
import platform
import sys
import venv
from pathlib import Path

from tests.compatibility.__main__ import cells
from tests.compatibility.claims import CLAIMS
from tests.compatibility.facts import KEPT, merged, run
from tests.compatibility.page import NOT_RUN, page


def test_the_page_is_what_the_facts_make_of_it() -> None:
    facts = json.loads(KEPT.read_text())
    assert KEPT.with_suffix(".md").read_text() == page(facts, cells()), "run `make compatibility`"


def test_without_a_run_every_claim_and_every_environment_is_shown_as_not_run() -> None:
    text = page({"cells": {}, "commands": {}}, cells())
    assert text.count(f"| {NOT_RUN} |") == len(cells()) + len(CLAIMS)


def test_a_command_that_fails_takes_back_what_it_had_shown(tmp_path: Path) -> None:
    assert run("make demo", [sys.executable, "-c", ""], tmp_path) == 0
    assert merged({}, tmp_path)["commands"]["make demo"]["seconds"] >= 0
    assert run("make demo", [sys.executable, "-c", "raise SystemExit(1)"], tmp_path) == 1
    assert merged({}, tmp_path)["commands"] == {}


def test_a_command_is_shown_beside_the_versions_of_the_environment_that_ran_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    assert run("make stores-lowest", [str(tmp_path / "bare/bin/python"), "-c", ""], tmp_path) == 0
    commands = merged({}, tmp_path)["commands"]
    assert commands["make stores-lowest"]["airflow"] is None
    assert f"no Airflow, Python {platform.python_version()}" in page({"cells": {}, "commands": commands}, cells())


def test_facts_that_were_kept_stay_until_newer_ones_come(tmp_path: Path) -> None:
    kept = {"commands": {"make demo": {"command": "make demo", "seconds": 1}}, "cells": {}}
    assert merged(kept, tmp_path) == {"cells": {}, "commands": kept["commands"]}
