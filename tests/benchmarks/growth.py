"""How cost grows with size: each curve is measured at 1, 10 and 100 % of its range, and has an exponent.

The exponent says how cost follows size: 1 for "ten times as much costs ten times as much", 2 for a hundred times. It is
the slope between the measured sizes on logarithmic scales. None may be above :data:`MOST`. To add a curve, write a
function that does the work at a size and add it to ``growth_curves.CURVES``.
"""

import gc
import math
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
SHARES: Final = (0.01, 0.1, 1.0)
"""At which parts of its range a curve is measured."""

QUICK_SHARES: Final = (0.01, 0.1)

MOST: Final = 1.1
"""The greatest exponent: cost follows size, and no faster."""

MOST_ON_A_BUSY_MACHINE: Final = 1.3
"""The same for CPU time in a short run, which other work makes longer: what is quadratic is at 2."""

_SMALLEST: Final = {"cpu_seconds": 0.02, "calls": 1.0, "bytes": 1024.0, "megabytes": 1.0}
"""What a cost counts as at least: below it, start-up and the clock decide and not the size."""


Work: TypeAlias = Callable[[], tuple[int, int]]
"""Does once what is measured, and gives how many calls it made and how many bytes these carried."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Work that can be done at any size.

    :param title: what is done.
    :param unit: what the size counts.
    :param full: the size that is 100 % of the range.
    :param prepare: makes the work of a size in an empty folder; this is not measured.
    """

    title: str
    unit: str
    full: int
    prepare: Callable[[int, Path], Work]


@dataclass(frozen=True, slots=True)
class Costs:
    """What work cost.

    :param size: at which size.
    :param cpu_seconds: CPU time of this process.
    :param calls: calls of a store or requests of an API.
    :param bytes: bytes that these carried.
    :param megabytes: the most memory that Python held for it at once.
    """

    size: int
    cpu_seconds: float
    calls: float
    bytes: float
    megabytes: float


COSTS: Final = tuple(one.name for one in fields(Costs) if one.name != "size")


def measured(curve: Curve, shares: Sequence[float], folder: Path) -> Iterator[Costs]:
    """Measure a curve: memory in a run of its own, since watching it takes time; CPU time as the smaller of two runs.

    Whatever else the machine does makes it longer, and nothing makes it shorter.
    """
    for share in shares:
        size = max(1, round(curve.full * share))
        place = folder / f"{curve.title.split()[0]}-{size}"
        place.mkdir()
        cpu_seconds = math.inf
        for run in ("first", "second"):
            work = curve.prepare(size, place / run)
            gc.collect()
            gc.freeze()  # what was measured before is in nobody's way
            start = time.process_time()
            calls, carried = work()
            cpu_seconds = min(cpu_seconds, time.process_time() - start)
            gc.unfreeze()
        work = curve.prepare(size, place / "third")
        tracemalloc.start()
        try:
            work()
            megabytes = tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()
        yield Costs(size, cpu_seconds, calls, carried, megabytes)


def exponent(costs: Sequence[Costs], name: str) -> float:
    """Give how a cost follows size: the steepest slope between two sizes that follow each other, logarithms of both."""
    known = [(one.size, max(_SMALLEST[name], getattr(one, name))) for one in costs]
    return max(
        (math.log(c2 / c1) / math.log(s2 / s1) for (s1, c1), (s2, c2) in pairwise(known) if s2 > s1), default=0.0
    )


def too_steep(found: Iterable[tuple[Curve, Sequence[Costs]]], *, is_loose: bool = False) -> list[str]:
    """Name the curves that grow faster than they may.

    :param is_loose: whether other work on the machine may have made CPU times longer. Default False.
    """
    most = dict.fromkeys(COSTS, MOST) | ({"cpu_seconds": MOST_ON_A_BUSY_MACHINE} if is_loose else {})
    return [
        f"{curve.title}: {name} grows with size^{slope:.2f}"
        for curve, costs in found
        for name in COSTS
        if (slope := exponent(costs, name)) > most[name]
    ]


def table(found: Iterable[tuple[Curve, Sequence[Costs]]]) -> str:
    """Give the measured costs and exponents as a table in Markdown."""
    head = ("what", "size", "CPU seconds", "calls", "bytes", "memory, MB", "exponents")
    lines = [head, ["---"] * len(head)]
    for curve, costs in found:
        for one in costs:
            slopes = ", ".join(f"{exponent(costs, name):.2f}" for name in COSTS) if one is costs[-1] else ""
            figures = (f"{one.cpu_seconds:.2f}", f"{one.calls:,.0f}", f"{one.bytes:,.0f}", f"{one.megabytes:.1f}")
            lines.append((curve.title, f"{one.size:,} {curve.unit}", *figures, slopes))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write_page(text: str) -> None:
    """Put the table into its place in docs/explanation/performance.md."""
    page = PAGE.read_text()
    before, start, rest = page.partition("<!-- measured: growth -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise ValueError(f"{PAGE.name} has no place for growth")
    PAGE.write_text(before + start + text + end + after)
