"""The compatibility page says what was run, and nothing else."""

import json
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
    assert run("make demo", ["true"], tmp_path) == 0
    assert merged({}, tmp_path)["commands"]["make demo"]["seconds"] >= 0
    assert run("make demo", ["false"], tmp_path) == 1
    assert merged({}, tmp_path)["commands"] == {}


def test_facts_that_were_kept_stay_until_newer_ones_come(tmp_path: Path) -> None:
    kept = {"commands": {"make demo": {"command": "make demo", "seconds": 1}}, "cells": {}}
    assert merged(kept, tmp_path) == {"cells": {}, "commands": kept["commands"]}
