"""What must hold, and whether it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.lineup import PEERS, PULL_THREADS, TUNED_PEERS
from tests.benchmarks.results import Results, Value, cpu_per_million, peak_megabytes, rows_per_second
from tests.benchmarks.scenarios import BUDGET

Measure = Callable[[Results], float | None]

_LOOSE: Final = 0.3
"""What a bound is worth in a short run on a busy machine, as a factor: it shows what is broken, not what is slow."""


@dataclass(frozen=True)
class Promise:
    """A bound, and how to measure what it bounds.

    :param text: what is bounded.
    :param least: the bound from below; None for none.
    :param most: the bound from above; None for none.
    :param measure: the measured value; None if it was not measured.
    """

    text: str
    measure: Measure
    least: float | None = None
    most: float | None = None

    def holds(self, value: float, *, is_loose: bool) -> bool:
        """Whether a measured value is within the bounds."""
        factor = _LOOSE if is_loose else 1.0
        return (self.least is None or value >= self.least * factor) and (
            self.most is None or value <= self.most / factor
        )

    @property
    def bound(self) -> str:
        """The bounds in words."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


def _ratio(value: Value, scenario: str, ours: tuple[str, int], others: Iterable[str]) -> Measure:
    """Ours over the largest of the others."""
    peers = list(others)

    def measure(results: Results) -> float | None:
        mine = results.median(value, scenario, *ours)
        found = [results.median(value, scenario, peer) for peer in peers]
        known = [one for one in found if one is not None]
        return mine / max(known) if mine is not None and known else None

    return measure


def _second_to_first(results: Results) -> float | None:
    first, second = (results.median(rows_per_second, "no-latency", "parquet", pull) for pull in (1, 2))
    return second / first if first and second else None


def _growth(results: Results) -> float | None:
    small, large = (results.median(peak_megabytes, size, "parquet", 2) for size in ("size-1e5", "size-1e7"))
    return large - small if small and large else None


def _above_idle(results: Results) -> float | None:
    above = [
        results.median(lambda one: one["peak_megabytes"] - one["idle_megabytes"], size, "parquet", pull)
        for size in ("size-1e5", "size-1e6", "size-1e7")
        for pull in (1, 2)
    ]
    return max((one for one in above if one is not None), default=None)


def _landing_share(results: Results) -> float | None:
    return results.median(lambda one: one["landing_cpu_seconds"] / one["cpu_seconds"], "landing", "landing-clock")


def _refused(scenario: str) -> Measure:
    def measure(results: Results) -> float | None:
        return max((one["refused"] for one in results.of(scenario, "parquet")), default=None)

    return measure


def _refused_per_thousand(results: Results) -> float | None:
    return results.median(lambda one: one["refused"] / one["requests"] * 1000, "limit-eight", "parquet")


def _window_share(scenario: str, choose: Callable[[Iterable[float]], float]) -> Measure:
    """How much of each full window's budget was used; the last window is the rest of the pull."""

    def measure(results: Results) -> float | None:
        shares = [used / BUDGET for one in results.of(scenario, "parquet") for _, used in one["windows"][:-1]]
        return choose(shares) if shares else None

    return measure


def _connections_over_threads(results: Results) -> float | None:
    # The main thread asks for the district, beside those that pull.
    threads = {f"parquet-{number}": number + 1 for number in (1, 2, 4, 8, 16, 32)} | {"parquet": PULL_THREADS + 1}
    over = [
        one["connections"] - threads[one["contender"]]
        for one in results.measurements
        if one["contender"] in threads and one["scenario"] != "limit-eight"
    ]
    return max(over, default=None)


_PEER_KEYS: Final = [peer.key for peer in PEERS]
_ALL_PEER_KEYS: Final = [*_PEER_KEYS, *(peer.key for peer in TUNED_PEERS)]

PROMISES: Final = (
    Promise(
        "0 ms, Parquet: rows/s over dlt's", _ratio(rows_per_second, "no-latency", ("parquet", 1), ["dlt"]), least=6
    ),
    Promise(
        "0 ms, Parquet: rows/s over the Airbyte CDK's",
        _ratio(rows_per_second, "no-latency", ("parquet", 1), ["airbyte"]),
        least=6,
    ),
    Promise(
        "0 ms, Parquet: CPU per million rows over the handwritten loop's",
        _ratio(cpu_per_million, "no-latency", ("parquet", 1), ["handwritten"]),
        most=0.7,
    ),
    Promise(
        "0 ms, JSON lines: rows/s over the handwritten loop's",
        _ratio(rows_per_second, "no-latency", ("jsonl", 1), ["handwritten"]),
        least=1.5,
    ),
    Promise("0 ms, Parquet: rows/s of an unchanged second pull over the first's", _second_to_first, least=0.5),
    Promise(
        "150 ms, four schools, max_concurrency=32: rows/s over the best peer's",
        _ratio(rows_per_second, "four-schools", ("parquet-32", 1), _PEER_KEYS),
        least=9,
    ),
    Promise(
        "150 ms, four schools, default: rows/s over the best peer's",
        _ratio(rows_per_second, "four-schools", ("parquet", 1), _PEER_KEYS),
        least=6,
    ),
    Promise(
        "150 ms, one school over 60 days, default: rows/s over the best peer's",
        _ratio(rows_per_second, "one-school", ("parquet", 1), _PEER_KEYS),
        least=5,
    ),
    Promise("300 ms, 3,600 pages, budget_share 1: refused requests", _refused("limit-1.0"), most=0),
    Promise("the same: least share of a full window used", _window_share("limit-1.0", min), least=0.95),
    Promise("budget_share 0.8: refused requests", _refused("limit-0.8"), most=0),
    Promise("the same: least share of a full window used", _window_share("limit-0.8", min), least=0.77),
    Promise("the same: greatest share of a window used", _window_share("limit-0.8", max), most=0.83),
    Promise("eight processes on one token: refused of 1,000 requests", _refused_per_thousand, most=1),
    Promise("peak memory at 10^7 rows, partitions present, above that at 10^5 rows, MB", _growth, most=16),
    Promise("peak memory above an idle Airflow task process with pyarrow, MB", _above_idle, most=96),
    Promise("TCP connections above the number of threads", _connections_over_threads, most=0),
    Promise("landing's share of the CPU of a Parquet pull", _landing_share, most=0.4),
)


def rows_of_promises(results: Results, *, is_loose: bool = False) -> list[tuple[str, str, str, str]]:
    """Per promise: what, bound, measured value, verdict."""
    told = []
    for promise in PROMISES:
        value = promise.measure(results)
        if value is None:
            told.append((promise.text, promise.bound, "not measured", ""))
        else:
            verdict = "yes" if promise.holds(value, is_loose=is_loose) else "**no**"
            told.append((promise.text, promise.bound, f"{value:.3g}", verdict))
    return told


def table(results: Results, *, is_loose: bool) -> str:
    """The promises that were measured, for a terminal."""
    found = [row for row in rows_of_promises(results, is_loose=is_loose) if row[3]]
    return "".join(f"{text:85} {bound:>14} {value:>9} {verdict}\n" for text, bound, value, verdict in found)


def broken(results: Results, *, is_loose: bool) -> bool:
    """Whether a promise that was measured does not hold."""
    values = [(promise, promise.measure(results)) for promise in PROMISES]
    return any(value is not None and not promise.holds(value, is_loose=is_loose) for promise, value in values)
