"""``python -m tests.compatibility run COMMAND ARGUMENTS...`` runs and writes down; ``... page`` makes the page."""

import json
import sys
import tomllib
from collections.abc import Mapping
from typing import Any

from tests.compatibility.facts import KEPT, ROOT, merged, run
from tests.compatibility.page import page


def cells() -> Mapping[str, Any]:
    """Give the environments of the matrix."""
    return tomllib.loads((ROOT / "requirements/matrix/cells.toml").read_text())


def main(arguments: list[str]) -> int:
    """Do what was asked for."""
    match arguments:
        case ["run", command, *rest]:
            return run(command, rest)
        case ["page"]:
            facts = merged(json.loads(KEPT.read_text()) if KEPT.exists() else {})
            KEPT.write_text(json.dumps(facts, indent=2) + "\n")
            KEPT.with_suffix(".md").write_text(page(facts, cells()))
            return 0
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
