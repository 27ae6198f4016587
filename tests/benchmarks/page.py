"""The measured parts of docs/explanation/performance.md, between its markers, and the pictures beside it."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks import scenarios
from tests.benchmarks.environments import python_of
from tests.benchmarks.lineup import PARQUET_TWICE, PEERS, Contender
from tests.benchmarks.promises import rows_of_promises
from tests.benchmarks.results import FOLDER, Results, cpu_per_million, peak_megabytes, rows_per_second
from tests.benchmarks.running import Scenario

PAGE: Final = FOLDER.parent / "performance.md"
_CHARTS: Final = Path(__file__).with_name("charts.py")


def write_page(results: Results) -> None:
    """Fill the page's marked places, and draw its pictures."""
    text = PAGE.read_text()
    for name, content in _contents(results).items():
        before, start, rest = text.partition(f"<!-- measured: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise ValueError(f"{PAGE.name} has no place for {name}")
        text = before + start + content + end + after
    PAGE.write_text(text)
    subprocess.run([python_of("charts"), _CHARTS, FOLDER / "measurements.json", FOLDER], check=True)


def _contents(results: Results) -> dict[str, str]:
    return {
        "machine": _machine(results),
        "promises": _table(("what", "bound", "measured", "holds"), rows_of_promises(results)),
        "no-latency": _no_latency(results),
        "four-schools": _latency(results, scenarios.FOUR_SCHOOLS, "parquet"),
        "one-school": _latency(results, scenarios.ONE_SCHOOL, "parquet"),
        "sizes": _sizes(results),
        "grid": _grid(results),
        "limits": _limits(results),
    }


def _machine(results: Results) -> str:
    told = {**results.machine, **results.versions}
    return (
        _table(("", ""), list(told.items()))
        + "\n"
        + _table(("scenario", "measured on", "runs of each", "load of the machine"), _loads(results))
    )


def _loads(results: Results) -> Iterable[Sequence[str]]:
    """Per scenario: when, on which revision, and how busy the machine was when each run began."""
    for key, when in sorted(results.measured_on.items()):
        found = [one for one in results.measurements if one["scenario"] == key]
        if found:
            runs = max(Counter((one["contender"], one["pull"]) for one in found).values())
            yield key, when, str(runs), f"{median(one['load'] for one in found):.1f}"


def _no_latency(results: Results) -> str:
    key = scenarios.NO_LATENCY.key
    named = [(contender, 1) for contender in scenarios.NO_LATENCY.contenders]
    named.insert(2, (PARQUET_TWICE, 2))
    base = results.median(rows_per_second, key, "handwritten")
    rows = []
    for contender, pull in named:
        speed = results.median(rows_per_second, key, contender.key, pull)
        cpu = results.median(cpu_per_million, key, contender.key, pull)
        peak = results.median(peak_megabytes, key, contender.key, pull)
        if speed and cpu and peak and base:
            title = contender.title + (", unchanged second pull" if pull == 2 else "")
            memory = "" if contender.key == "curl" else f"{peak:.0f}"
            rows.append(
                (title, f"{speed:,.0f}", f"{speed / base:.2f}", f"{cpu:.1f}", memory, _wire(results, key, contender))
            )
    return _table(("", "rows/s", "x loop", "CPU s per million rows", "peak MB", "connections / requests"), rows)


def _latency(results: Results, scenario: Scenario, ours: str) -> str:
    base = results.median(rows_per_second, scenario.key, ours)
    rows = []
    for contender in scenario.contenders:
        speed = results.median(rows_per_second, scenario.key, contender.key)
        cpu = results.median(cpu_per_million, scenario.key, contender.key)
        if speed and cpu and base:
            title = contender.title + (", default" if contender.key == ours else "")
            rows.append(
                (title, f"{speed:,.0f}", f"{base / speed:.1f}", f"{cpu:.1f}", _wire(results, scenario.key, contender))
            )
    return _table(("", "rows/s", "our default is x times", "CPU s per million rows", "connections / requests"), rows)


def _wire(results: Results, scenario: str, contender: Contender) -> str:
    connections = results.median(lambda one: one["connections"], scenario, contender.key)
    requests = results.median(lambda one: one["requests"], scenario, contender.key)
    return f"{connections:.0f} / {requests:.0f}"


def _sizes(results: Results) -> str:
    rows = []
    named = [("parquet", 1, "first pull"), ("parquet", 2, "unchanged second pull")]
    named += [(peer.key, 1, peer.title) for peer in PEERS]
    for key, pull, title in named:
        for scenario in scenarios.SIZES:
            speed = results.median(rows_per_second, scenario.key, key, pull)
            cpu = results.median(cpu_per_million, scenario.key, key, pull)
            peak = results.median(peak_megabytes, scenario.key, key, pull)
            idle = results.median(lambda one: one.get("idle_megabytes", 0.0), scenario.key, key, pull)
            if speed and cpu and peak:
                who = f"this provider, {title}" if key == "parquet" else title
                above = f"{peak - idle:.0f}" if idle else ""
                rows.append((who, f"{scenario.rows:,}", f"{speed:,.0f}", f"{cpu:.1f}", f"{peak:.0f}", above))
    return _table(("", "rows", "rows/s", "CPU s per million rows", "peak MB", "above idle Airflow, MB"), rows)


def _grid(results: Results) -> str:
    threads = [contender.key for contender in scenarios.GRID[0].contenders]
    rows = []
    for scenario in scenarios.GRID:
        speeds = [results.median(rows_per_second, scenario.key, key) for key in threads]
        rows.append((scenario.title, *("" if speed is None else f"{speed:,.0f}" for speed in speeds)))
    return _table(("rows/s at max_concurrency", *(key.removeprefix("parquet-") for key in threads)), rows)


def _limits(results: Results) -> str:
    rows = []
    for scenario in scenarios.LIMITS:
        for one in results.of(scenario.key, "parquet"):
            used = ", ".join(f"{used:,.0f}" for _, used in one["windows"])
            rows.append((scenario.title, f"{one['rows']:,}", f"{one['seconds']:.0f}", used, str(one["refused"])))
    return _table(("", "rows landed", "seconds", "requests in each window of 1,200", "refused (429)"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
