"""Clever documents one more optional field: what has to be changed for it, done in a copy of the checkout.

One file of the package, two of the sandbox and a table of the docs, which a command writes; then the nearest tests pass
as they stand, with rows from the sandbox that have the field among them.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("airflow_provider_clever", "docs", "example_dags", "tests", "requirements")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "noxfile.py")

FIELD = """
    minutes_absent: Annotated[
        OptionalText, Column(kind="text", since=2, personal=True, meaning="minutes that the student was away")
    ] = None
"""

EDITS = {
    "airflow_provider_clever/attendance/schema.py": (
        r"(\n    def __repr_args__\(self\))",
        FIELD + r"\1",
    ),
    "airflow_provider_clever/sandbox/rows.py": (
        r'(\n        "school_id": facts\.school_id,\n    \}\n    present)',
        '\n        "minutes_absent": "45" if variant.status == "absent" else None,\\1',
    ),
    "airflow_provider_clever/sandbox/openapi.json": (
        r'("sis_id": \{"type": "string", "description": "The record)',
        '"minutes_absent": {"type": "string", "description": "Minutes that the student was away."},\n          \\1',
    ),
}
"""Each file that a person changes: where, and what it says there afterwards."""

EXACTNESS = "tests/integration/transfer/test_exactness.py"
NEAREST = (
    "tests/unit/attendance",
    "tests/unit/api/test_pages.py",
    "tests/unit/lake",
    f"{EXACTNESS}::test_the_small_district_comes_as_rows_exactly_as_clever_has_them",
    *(f"{EXACTNESS}::test_every_kind_of_district_lands_exactly[{kind}]" for kind in ("small-parquet", "both-jsonl")),
)
"""The golden lakes under another schema are read in ``test_a_future_schema.py``."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout with the field added, and nothing else done to it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled already
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    for name, (where, afterwards) in EDITS.items():
        file = folder / name
        text, count = re.subn(where, afterwards, file.read_text(), count=1)
        assert count == 1, f"{name} is not as this test knows it"
        file.write_text(text)
    run(folder, "-m", "tests.support.columns_table")
    return folder


def run(folder: Path, *command: str) -> str:
    """Run Python in the copy, and give what it printed."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def changed(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for name in COPIED
        for path in (folder / name).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.read_bytes() != (ROOT / path.relative_to(folder)).read_bytes()
    }


def test_one_file_of_the_package_two_of_the_sandbox_and_a_table_are_all_that_changes(copy: Path) -> None:
    assert changed(copy) == {*EDITS, "docs/reference/landed-files.md"}
    assert "`minutes_absent`" in (copy / "docs/reference/landed-files.md").read_text()


def test_the_nearest_tests_pass_as_they_stand(copy: Path) -> None:
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=few examples", *NEAREST)
