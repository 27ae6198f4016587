"""Facts about runs: a command that passed writes down when, how long and beside which versions."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
COLLECTED: Final = ROOT / ".facts"
KEPT: Final = ROOT / "docs/reference/compatibility.json"


def run(command: str, arguments: Sequence[str], collected: Path = COLLECTED) -> int:
    """Run a command to its end and, if it passed, write the fact down. What fails has shown nothing.

    :param command: as a person types it, such as ``make e2e``.
    :param arguments: what is run: an interpreter, and what it is given.
    :param collected: where facts are written.
    """
    file = collected / "commands" / f"{command.replace(' ', '-')}.json"
    file.unlink(missing_ok=True)
    start = time.monotonic()
    code = subprocess.run(arguments, cwd=ROOT, check=False).returncode
    if code == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        fact = {
            "command": _as_typed(command),
            "day": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.monotonic() - start),
            **_beside(arguments[0]),
        }
        file.write_text(json.dumps(fact, indent=2) + "\n")
    return code


_VERSIONS: Final = """
import json, platform
from importlib.metadata import PackageNotFoundError, version
try:
    airflow = version("apache-airflow")
except PackageNotFoundError:
    airflow = None
print(json.dumps({"airflow": airflow, "python": platform.python_version()}))
"""


def _beside(python: str) -> dict[str, str | None]:
    """Give the versions of the interpreter that ran the command, which may be another environment's than this one."""
    told = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(told))


def _as_typed(command: str) -> str:
    """Give the command with the variable that made its run a short one, if it was."""
    days = os.environ.get("CLEVER_E2E_DAYS")
    if days and command.startswith("make e2e"):
        return f"CLEVER_E2E_DAYS={days} {command}"
    return (
        f"{command} WHEEL=short" if command == "make wheel" and os.environ.get("CLEVER_WHEEL") == "short" else command
    )


def merged(kept: Mapping[str, Any], collected: Path = COLLECTED) -> dict[str, Any]:
    """Give the kept facts with those that were collected since put over them."""
    new = {
        kind: {found[key]: found for found in map(_read, sorted((collected / kind).glob("*.json")))}
        for kind, key in (("cells", "cell"), ("commands", "command"))
    }
    return {kind: dict(sorted({**kept.get(kind, {}), **found}.items())) for kind, found in new.items()}


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))
