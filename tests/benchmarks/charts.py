"""Draws the cost curves. Runs in an environment of its own, which alone has matplotlib: ``charts.py JSON FOLDER``."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams.update(
    {
        "svg.hashsalt": "performance",  # the same measurements give the same file
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.alpha": 0.3,
        "legend.frameon": False,
    }
)

Measurement = dict[str, Any]
NAMES = {
    ("parquet", 1): "this provider, first pull",
    ("parquet", 2): "this provider, unchanged second pull",
    ("handwritten", 1): "handwritten loop",
    ("http-operator", 1): "HttpOperator",
    ("dlt", 1): "dlt",
    ("singer", 1): "Singer SDK",
    ("airbyte", 1): "Airbyte CDK",
}
PANELS: list[tuple[str, str, Callable[[Measurement], float]]] = [
    ("rows/s", "log", lambda one: one["rows"] / one["seconds"]),
    ("CPU s per million rows", "log", lambda one: one["cpu_seconds"] / one["rows"] * 1e6),
    ("peak memory, MB", "linear", lambda one: one["peak_megabytes"]),
]


def sizes(measurements: list[Measurement], file: Path) -> None:
    """Rows/s, CPU and memory over the number of rows."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
    lines: dict[tuple[str, int], dict[int, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for one in measurements:
        if one["scenario"].startswith("size-"):
            lines[one["contender"], one["pull"]][one["rows"]].append(one)
    for axis, (title, scale, value) in zip(axes, PANELS, strict=True):
        for key, name in NAMES.items():
            points = sorted((rows, median(map(value, found))) for rows, found in lines[key].items())
            if points:
                style = "-" if key[0] == "parquet" else "--"
                axis.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=name)
        axis.set(title=title, xlabel="rows", xscale="log", yscale=scale)
        axis.set_ylim(bottom=0 if scale == "linear" else None)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=4)
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    figure.savefig(file, metadata={"Date": None})


def grid(measurements: list[Measurement], file: Path) -> None:
    """Rows/s over the number of threads, one line per latency."""
    figure, axis = plt.subplots(figsize=(6.5, 3.8))
    lines: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in measurements:
        if one["scenario"].startswith("grid-"):
            latency, threads = int(one["scenario"].split("-")[1]), int(one["contender"].split("-")[1])
            lines[latency][threads].append(one["rows"] / one["seconds"])
    for latency, points in sorted(lines.items()):
        threads_and_speeds = sorted((threads, median(speeds)) for threads, speeds in points.items())
        axis.plot(*zip(*threads_and_speeds, strict=True), marker="o", markersize=4, label=f"{latency} ms per answer")
    axis.axhline(20_000, color="black", linewidth=1, linestyle=":")
    axis.annotate("what Clever's budget sustains: 20,000", (1, 20_000), (0, 4), textcoords="offset points")
    axis.set(xlabel="max_concurrency", ylabel="rows/s", xscale="log", yscale="log")
    axis.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    axis.tick_params(axis="x", which="minor", bottom=False)
    if lines:
        axis.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    kept = json.loads(Path(sys.argv[1]).read_text())["measurements"]
    sizes(kept, Path(sys.argv[2], "sizes.svg"))
    grid(kept, Path(sys.argv[2], "concurrency.svg"))
