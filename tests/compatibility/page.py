"""The page docs/reference/compatibility.md, made of facts and of nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.compatibility.claims import CLAIMS, FEATURES

NOT_RUN: Final = "not run"

HEAD: Final = """\
# What it works with

Made by `make compatibility` from what the commands themselves wrote down when they passed; a claim without such a run
says *not run*. Run the command in the last column but one to see for yourself.

## Airflow and Python

`make matrix` makes one environment per line, with the packages of its time (`requirements/matrix/`), and runs in it:
the import of every module and of the example DAGs with deprecations as errors, `airflow providers`, the connection's
form, the tests of units, sandbox, landing and Airflow, and the demo; and it lands one seeded district, whose rows have
to be the same on each line. `make matrix-each-change`, which CI runs, leaves tests and demo out on all but two.

"""
FEATURES_HEAD: Final = """
## Features of newer Airflows

They are looked for when they are needed; no version is compared. Found by each environment above:

"""
CLAIMS_HEAD: Final = """
## Databases, executors, stores

"""
FOOT: Final = """
## Which versions to install

Install beside an older Airflow with
[Airflow's constraints](https://airflow.apache.org/docs/apache-airflow/stable/installation/installing-from-pypi.html):
by itself `pip` takes packages that came out after it, and some break it (3.1.0 with structlog 25.5, 3.2.2 with pydantic
2.14). The lowest versions that `pyproject.toml` names are those of the line *lowest*.

The constraints of Airflow 3.1.0 to 3.1.6 name a version of `apache-airflow-providers-common-compat` before 1.12, which
we need, so `pip` refuses to install both at once (`ResolutionImpossible`). There, install Airflow and its providers
with the constraints, then this package without them. Name Airflow's version again, so that `pip` leaves it as it is:

```sh
pip install apache-airflow==3.1.0 'airflow-provider-clever[parquet]'
```

`make wheel` (in its long form) installs so, and types the tutorial's commands beside the lowest Airflow and the newest.
"""


def page(facts: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    """Give the page.

    :param facts: ``{"cells": ..., "commands": ...}``.
    :param cells: every cell of the matrix with its Python and Airflow, run or not.
    """
    return (
        HEAD
        + _cells(facts["cells"], cells)
        + FEATURES_HEAD
        + _features(facts["cells"], cells)
        + (CLAIMS_HEAD + _claims(facts["commands"]) + FOOT)
    )


def _table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    titles = list(head)
    rows = [titles, ["---"] * len(titles), *lines]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _cells(found: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    def line(name: str) -> list[object]:
        cell, fact = cells[name], found.get(name)
        planned = [name, cell["airflow"], cell["python"]]
        if fact is None:
            return [*planned, NOT_RUN, "", "", "", "", ""]
        seconds = [fact["seconds"].get(step, "") for step in ("imports", "tests", "demo")]
        planned[2] = fact["python"]
        return [*planned, f"`{fact['command']}`", fact["day"], *seconds, f"`{fact['rows'][:12]}`"]

    titles = ("environment", "Airflow", "Python", "shown by", "day", "imports, s", "tests, s", "demo, s", "rows")
    return _table(titles, map(line, cells))


def _features(found: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    run = [name for name in cells if name in found]

    def line(feature: str) -> list[str]:
        use, without = FEATURES[feature]
        return [use, *("yes" if found[name]["features"][feature] else "no" for name in run), without]

    return _table(("what for", *run, "without it"), map(line, FEATURES))


def _claims(commands: Mapping[str, Any]) -> str:
    def shown(command: str) -> tuple[str, ...]:
        for fact in commands.values():
            # A short run has a variable before or after the command.
            if f" {command} " in f" {fact['command']} ":
                airflow = f"Airflow {fact['airflow']}" if fact["airflow"] else "no Airflow"
                beside = f"{airflow}, Python {fact['python']}"
                return f"`{fact['command']}`", f"{fact['day']}, {fact['seconds']} s, {beside}"
        return f"`{command}`", NOT_RUN

    titles = ("subject", "with", "how", "command", "passed")
    return _table(titles, ([claim.subject, claim.about, claim.how, *shown(claim.command)] for claim in CLAIMS))
