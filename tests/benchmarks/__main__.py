"""``python -m tests.benchmarks``: measure, write docs/explanation/performance.md, and say which promises hold.

``--quick`` is the short form: fewer days, one run, loose bounds, nothing written. ``limits`` measures the rate limit,
which takes three times three minutes; ``growth`` how cost grows with size; ``table`` what a table saves its readers;
``table-night`` what a table costs beside the pull that changed it.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from tests.benchmarks import growth, growth_curves, growth_lakes, month_tables, scenarios, table_nights
from tests.benchmarks.page import write_page
from tests.benchmarks.promises import broken, table
from tests.benchmarks.results import Results
from tests.benchmarks.running import Runner, Scenario, server

CURVES = (*growth_curves.CURVES, *growth_lakes.CURVES)

Plan = Sequence[tuple[Scenario, int]]
"""Scenarios, and how often each is run."""

PLANS: dict[str, Plan] = {
    "no-latency": [(scenarios.NO_LATENCY, 9)],
    "four-schools": [(scenarios.FOUR_SCHOOLS, 5)],
    "one-school": [(scenarios.ONE_SCHOOL, 5)],
    "landing": [(scenarios.LANDING, 5)],
    "grid": [(scenario, 1) for scenario in scenarios.GRID],
    "sizes": [
        *((scenario, 3) for scenario in scenarios.SIZES[:2]),
        (scenarios.SIZES[2], 1),
        *((scenario, 1) for scenario in scenarios.PEER_SIZES),
    ],
    "limits": [(scenario, 1) for scenario in scenarios.LIMITS],
}

QUICK: Plan = [
    (scenarios.quick(scenarios.NO_LATENCY, 5), 1),
    (scenarios.quick(scenarios.FOUR_SCHOOLS, 5), 1),
    (scenarios.quick(scenarios.SIZES[0], 4), 1),
]


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        help=f"of {', '.join(PLANS)}, growth alone, table alone or table-night alone; default all but limits",
    )
    parser.add_argument("--quick", action="store_true", help="fewer days, one run, loose bounds, nothing written")
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", help="only these contenders, nothing written")
    parser.add_argument("--times", type=int, help="how often each scenario is run")
    asked = parser.parse_args()
    if asked.parts == ["growth"]:
        return _growth(is_quick=asked.quick)
    if asked.parts in (["table"], ["table-night"]):
        return _table(month_tables if asked.parts == ["table"] else table_nights, is_quick=asked.quick)
    parts = asked.parts or [part for part in PLANS if part != "limits"]
    plan = QUICK if asked.quick else [step for part in parts for step in PLANS[part]]
    plan = [(_only(scenario, asked.only), asked.times or times) for scenario, times in plan]
    is_kept = not asked.quick and not asked.only
    results = Results.stored() if is_kept else Results()
    with tempfile.TemporaryDirectory(prefix="clever-bench-") as folder:
        for scenario, times in plan:
            results.replace(scenario, list(_measure(scenario, times, Path(folder))))
            if is_kept:
                results.store()
    if is_kept:
        write_page(results)
    sys.stdout.write(table(results, is_loose=asked.quick))
    failed = asked.quick and (
        broken(results, is_loose=True) or _growth(is_quick=True) or _table(month_tables, is_quick=True)
    )
    return 1 if failed else 0


def _growth(*, is_quick: bool) -> int:
    """Measure how cost grows with size; 1 if anything grows faster than it may."""
    with tempfile.TemporaryDirectory(prefix="clever-growth-") as folder:
        shares = growth.QUICK_SHARES if is_quick else growth.SHARES
        found = [(curve, list(growth.measured(curve, shares, Path(folder)))) for curve in CURVES]
    sys.stdout.write(growth.table(found))
    if not is_quick:
        growth.write_page(growth.table(found))
    problems = growth.too_steep(found, is_loose=is_quick)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def _table(what: ModuleType, *, is_quick: bool) -> int:
    """Measure what a table saves or costs; 1 if that is not as promised."""
    with tempfile.TemporaryDirectory(prefix="clever-table-") as folder:
        found = list(what.measured(Path(folder), is_quick=is_quick))
    sys.stdout.write(month_tables.table(found))
    problems = month_tables.broken(found, is_loose=is_quick)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def _only(scenario: Scenario, keys: Sequence[str] | None) -> Scenario:
    if not keys:
        return scenario
    return replace(scenario, contenders=[one for one in scenario.contenders if one.key in keys])


def _measure(scenario: Scenario, times: int, folder: Path) -> Iterator[dict[str, object]]:
    with server() as origin:
        for measured in Runner(origin, folder).alternate(scenario, times=times):
            per_second = measured["rows"] / measured["seconds"]
            per_million = measured["cpu_seconds"] / measured["rows"] * 1e6
            sys.stderr.write(
                f"{scenario.key:14} {measured['contender']:20} pull {measured['pull']} {per_second:10,.0f} rows/s "
                f"{per_million:6.1f} CPU s per million rows {measured['peak_megabytes']:6.0f} MB "
                f"{measured['requests']:6} requests {measured['refused']} refused "
                f"{measured['connections']} connections\n"
            )
            yield measured


if __name__ == "__main__":
    sys.exit(main())
