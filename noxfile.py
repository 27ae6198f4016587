"""The tests on every Airflow and Python that the README names: ``make matrix``.

A cell is an environment with its own pins, ``requirements/matrix/<cell>.txt``. ``nox -s pin`` writes them: each package
as new as it was on the cell's day, since an old Airflow beside packages that came out after it breaks by itself.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import nox

ROOT = Path(__file__).parent
SANDBOX = "airflow_provider_clever/sandbox"
PINS = ROOT / "requirements/matrix"
FACTS = ROOT / ".facts"

# What `make test` runs, but for what is measured in time, what runs all of Airflow for long, and what speaks of the
# repository or of one installed environment instead of our code.
FOLDERS = ("unit", "sandbox", "integration", "lake", "table", "airflow", "examples", "matrix")


DIRECT = re.compile(r"# via .*(airflow-provider-clever|clever-sandbox|stores\.in)")


class Cell(NamedTuple):
    """One environment, as requirements/matrix/cells.toml describes it."""

    python: str
    airflow: str
    reason: str
    day: str | None = None
    later: Mapping[str, str] = MappingProxyType({})


CELLS = {name: Cell(**said) for name, said in tomllib.loads((PINS / "cells.toml").read_text()).items()}

nox.needs_version = ">=2026.2"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.envdir = ".venvs/matrix"
nox.options.error_on_missing_interpreters = True  # a cell that does not run is no green one
nox.options.sessions = ("whole", "compare")

# pyenv answers for python3.13 only if it is told that any of its versions may be meant.
if (pyenv := shutil.which("pyenv")) and "PYENV_VERSION" not in os.environ:
    told = subprocess.run([pyenv, "version-name"], capture_output=True, text=True, check=False).stdout.split()
    found = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout.split()
    os.environ["PYENV_VERSION"] = ":".join(dict.fromkeys([*told, *found]))


on_each_cell = nox.parametrize(
    ("python", "cell"), [nox.param(cell.python, name, id=name) for name, cell in CELLS.items()]
)


def installed(session: nox.Session, cell: str) -> None:
    """Make the environment: the pins and, from the checkout, the provider."""
    session.install("--compile-bytecode", "-r", f"requirements/matrix/{cell}.txt")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".", "--editable", f"./{SANDBOX}")


class Record:
    """What a cell has shown, kept for the comparison and for docs/reference/compatibility.md."""

    def __init__(self, session: nox.Session, cell: str, command: str) -> None:
        self._home = {"AIRFLOW_HOME": str(Path(session.virtualenv.location) / "airflow-home")}
        self._session, self._path = session, FACTS / "cells" / f"{cell}.json"
        self._facts = {"cell": cell, "command": command, "day": datetime.now(UTC).date().isoformat(), "seconds": {}}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # what failed half-way has shown nothing

    def run(self, step: str, *command: str) -> None:
        """Run one step; its seconds are kept."""
        start = time.monotonic()
        self._session.run(*command, env=self._home)
        self._facts["seconds"][step] = round(time.monotonic() - start)

    def keep(self) -> None:
        """Write down that all steps have passed, which rows have landed, and beside which versions."""
        printed = self._session.run("python", "-m", "tests.matrix.landed_rows", silent=True, env=self._home)
        self._facts |= json.loads(printed.splitlines()[-1])
        self._path.write_text(json.dumps(self._facts, indent=2) + "\n")


@nox.session
@on_each_cell
def whole(session: nox.Session, cell: str) -> None:
    """All that a cell is held to: imports, metadata, tests, the demo and the landed rows."""
    record = Record(session, cell, "make matrix-each-change" if session.posargs else "make matrix")
    installed(session, cell)
    record.run("imports", "pytest", "--quiet", "tests/matrix", "tests/examples/test_parsing.py")
    record.run(
        "tests",
        *("pytest", "--quiet", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
        *(f"tests/{folder}" for folder in FOLDERS),
        *session.posargs,
    )
    record.run("demo", "python", "-m", "tests.demo")
    record.keep()


@nox.session
@on_each_cell
def imports(session: nox.Session, cell: str) -> None:
    """What a cell shows in a minute: imports, metadata, example DAGs and the landed rows."""
    record = Record(session, cell, "make matrix-each-change")
    installed(session, cell)
    record.run("imports", "pytest", "--quiet", "tests/matrix", "tests/examples/test_parsing.py")
    record.keep()


@nox.session(venv_backend="none")
def compare(session: nox.Session) -> None:
    """Hold the rows that landed on each cell against those of the others."""
    facts = {file.stem: json.loads(file.read_text()) for file in (FACTS / "cells").glob("*.json")}
    for name in sorted(facts):
        session.log(f"{name}: rows {facts[name]['rows'][:16]}, seconds {facts[name]['seconds']}")
    if missing := CELLS.keys() - facts:
        session.error(f"These cells have not passed: {', '.join(sorted(missing))}.")
    if len({found["rows"] for found in facts.values()}) != 1:
        session.error("The cells have landed different rows from the same district.")


@nox.session(venv_backend="none")
def pin(session: nox.Session) -> None:
    """Write the pins of the cells that are named, or of all: ``nox -s pin -- lowest``."""
    for name in session.posargs or CELLS:
        cell = CELLS[name]
        wanted = PINS / f"{name}.in"
        wanted.write_text(f"apache-airflow=={cell.airflow}\n")
        day = ("--exclude-newer", cell.day) if cell.day else ("-c", "requirements/dev.txt")
        lowest = _lowest_direct(session, cell) if name == "lowest" else ()
        target = PINS / f"{name}.txt"
        target.unlink(missing_ok=True)
        _compile(session, cell, str(wanted), "--group", "test", *day, *lowest, "-o", str(target))
        head = (
            f"# Airflow {cell.airflow} on Python {cell.python}: {cell.reason}.\n# Pinned {datetime.now(UTC).date()}; "
        )
        head += f"no package is newer than {cell.day}.\n" if cell.day else "versions as in dev.txt.\n"
        target.write_text(head + target.read_text())
        wanted.unlink()


def _lowest_direct(session: nox.Session, cell: Cell) -> tuple[str, ...]:
    """Give the floors as constraints: the tests' own tools are not meant, so they are resolved apart."""
    folder = Path(session.create_tmp())
    resolved, floors, stores = folder / "resolved.txt", folder / "floors.txt", folder / "stores.in"
    # Without Airflow's own providers for Google and Azure, as in the other cells.
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = [line for line in (*extras["gcs"], *extras["azure"]) if line.startswith(("gcsfs", "adlfs"))]
    stores.write_text("\n".join(listed) + "\n")
    lowest = ("--resolution", "lowest-direct", "--exclude-newer", str(cell.day))
    _compile(session, cell, str(stores), *lowest, "--annotate", "--annotation-style=line", "-o", str(resolved))
    direct = [line for line in resolved.read_text().splitlines() if DIRECT.search(line)]
    floors.write_text("\n".join(line.split("#")[0] for line in direct) + "\n")
    return ("-c", str(floors))


def _compile(session: nox.Session, cell: Cell, *arguments: str) -> None:
    session.run(
        *(
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "compile",
            "--quiet",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--no-annotate",
        ),
        *("--python-version", cell.python, "--custom-compile-command", "make requirements"),
        *("--no-emit-package", "airflow-provider-clever", "--no-emit-package", "clever-sandbox"),
        *("pyproject.toml", f"{SANDBOX}/pyproject.toml", "--extra", "parquet", "--extra", "s3", "--extra", "iceberg"),
        *(f"--exclude-newer-package={name}={until}" for name, until in cell.later.items()),
        *arguments,
        external=True,
    )
