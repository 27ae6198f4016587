"""Everything of ours can be imported on this Airflow and Python, and asks for nothing that they have deprecated."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.features import found

ROOT = Path(__file__).parents[2]
OURS = (ROOT / "airflow_provider_clever", ROOT / "example_dags")

# A child of its own, because a module is imported once. Airflow warns of an import at the line that asks for it.
IMPORT_ALL = """
import importlib, json, pathlib, pkgutil, runpy, sys, warnings

warned, failed = [], {}

def note(message, category, filename, lineno, file=None, line=None):
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)):
        warned.append(f"{filename}:{lineno}: {message}")

warnings.simplefilter("always")
warnings.showwarning = note

import airflow_provider_clever

modules = [found.name for found in pkgutil.walk_packages(airflow_provider_clever.__path__, "airflow_provider_clever.")]
modules = [name for name in modules if not name.endswith(".__main__")]
for name in modules:
    try:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            getattr(module, public)
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
for file in map(str, sorted(pathlib.Path(sys.argv[1]).glob("*.py"))):
    try:
        runpy.run_path(file)
    except Exception as error:
        failed[file] = f"{type(error).__name__}: {error}"
print(json.dumps({"modules": modules, "failed": failed, "warned": warned}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(ROOT / "example_dags")],
        env=bare | {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("home"))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_module_and_every_example_can_be_imported(told: dict) -> None:
    files = {
        file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for file in OURS[0].rglob("*.py")
        if file.name not in ("__init__.py", "__main__.py")
    }
    assert files <= set(told["modules"])
    assert told["failed"] == {}


def test_nothing_of_ours_asks_for_what_is_deprecated(told: dict) -> None:
    assert [warning for warning in told["warned"] if warning.startswith(tuple(map(str, OURS)))] == []


def late_imports(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """Give what is imported when a function runs; what stands under TYPE_CHECKING never is."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and (child.module or "").partition(".")[0] == "airflow":
            yield child
        yield from late_imports(child)


def test_this_airflow_has_every_name_that_a_function_of_ours_imports() -> None:
    asked = {
        (str(statement.module), name.name)
        for folder in OURS
        for file in folder.rglob("*.py")
        for statement in late_imports(ast.parse(file.read_text()))
        for name in statement.names
        if "openlineage" not in str(statement.module)  # its provider is not required, and calls us itself
    }
    assert ("airflow.triggers.base", "StartTriggerArgs") in asked
    missing = [f"{module}.{name}" for module, name in asked if found(name, module) is None]
    assert [name for name in missing if find_spec(name) is None] == []
