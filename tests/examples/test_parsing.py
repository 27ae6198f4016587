"""The examples drop in unchanged: they import with no connection defined, and cheaply."""

import json
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "example_dags"

PARSE = """
import json, pathlib, runpy, sys
import airflow.sdk
before = set(sys.modules)
for example in pathlib.Path(sys.argv[1]).glob("*.py"):
    runpy.run_path(str(example))
heavy = {"aiohttp", "pyarrow", "requests"} & (set(sys.modules) - before)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
files = sorted({dag.fileloc for dag in bag.dags.values()})
print(json.dumps({"heavy": sorted(heavy), "errors": bag.import_errors, "files": files}))
"""


def test_the_examples_import_with_no_connection_and_nothing_heavy(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(EXAMPLES)],
        env=bare | {"AIRFLOW_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files = sorted(map(str, EXAMPLES.glob("*.py")))
    assert json.loads(done.stdout.splitlines()[-1]) == {"heavy": [], "errors": {}, "files": files}
