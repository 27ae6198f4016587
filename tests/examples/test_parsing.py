"""The examples and the DAGs that the documentation shows import with no connection defined, and cheaply."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "example_dags"
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

PARSE = """
import json, pathlib, runpy, sys
import airflow.sdk
before = set(sys.modules)
files = [str(file) for folder in sys.argv[1:] for file in pathlib.Path(folder).glob("*.py")]
for file in files:
    runpy.run_path(file)
heavy = {"aiohttp", "pyarrow", "requests"} & (set(sys.modules) - before)
from tests.support.dag_bag import dag_bag
bags = [dag_bag(folder) for folder in sys.argv[1:]]
errors = {file: error for bag in bags for file, error in bag.import_errors.items()}
ours = [dag for dag in bags[0].dags.values() if dag.fileloc in files]  # up to 3.2 Airflow's examples are there, too
silent = [task.task_id for dag in ours for task in dag.tasks if not task.doc_md or not dag.doc_md]
found = {dag.fileloc for bag in bags for dag in bag.dags.values()}
alone = sorted(set(files) - found)
print(json.dumps({"heavy": sorted(heavy), "errors": errors, "without a DAG": alone, "without words": silent}))
"""


def dags_in(page: Path) -> list[str]:
    """The code blocks of a page that are DAG files."""
    return [
        block
        for block in PYTHON.findall(page.read_text())
        if re.search(r"^with DAG\(|attendance_(?:dags|table_dag)\(", block, re.MULTILINE)
    ]


def test_examples_and_documented_dags_import_with_no_connection_and_nothing_heavy(tmp_path: Path) -> None:
    documented = tmp_path / "documented"
    shutil.copytree(EXAMPLES, documented, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for page in PAGES:
        for number, block in enumerate(dags_in(page)):
            (documented / f"{page.stem}_{number}.py").write_text(block)
    assert list(documented.glob("README_*.py"))
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(EXAMPLES), str(documented)],
        env=bare
        | {
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "200",  # seconds; 30 are few on a busy machine
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "heavy": [],
        "errors": {},
        "without a DAG": [],
        "without words": [],
    }
