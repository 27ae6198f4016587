"""What is measured."""

from dataclasses import replace
from typing import Final

from tests.benchmarks.lineup import (
    AIRBYTE_PARALLEL,
    CURL,
    DLT_PARALLEL,
    HANDWRITTEN_ORJSON,
    JSON_LINES,
    OPERATOR,
    PARQUET,
    PARQUET_32,
    PARQUET_TWICE,
    PEERS,
)
from tests.benchmarks.running import Scenario

BUDGET: Final = 1200
"""Requests per token and window of 60 s (clever-api.md 4)."""

NO_LATENCY: Final = Scenario(
    "no-latency",
    "No latency: what each tool costs",
    schools=4,
    days=30,
    contenders=(CURL, PARQUET_TWICE, JSON_LINES, OPERATOR, *PEERS, HANDWRITTEN_ORJSON),
)
"""This provider's second pull finds everything unchanged."""

FOUR_SCHOOLS: Final = Scenario(
    "four-schools",
    "150 ms per answer, four schools",
    schools=4,
    days=15,
    contenders=(PARQUET_32, PARQUET, *PEERS, DLT_PARALLEL, AIRBYTE_PARALLEL),
    latency_seconds=0.15,
    limit=BUDGET,
)

ONE_SCHOOL: Final = Scenario(
    "one-school",
    "150 ms per answer, one school over 60 days",
    schools=1,
    days=60,
    contenders=(PARQUET, *PEERS),
    latency_seconds=0.15,
    limit=BUDGET,
)

_SIZES: Final = {"1e5": (4, 12), "1e6": (40, 12), "1e7": (40, 120)}
"""Schools and days that give about so many rows."""

SIZES: Final = tuple(
    Scenario(
        f"size-{name}",
        f"{schools} schools, {days} days",
        schools=schools,
        days=days,
        contenders=(PARQUET_TWICE.with_options("parquet", PARQUET.title, in_airflow=True),),
    )
    for name, (schools, days) in _SIZES.items()
)
"""This provider: its second pull finds the partitions of the first."""

PEER_SIZES: Final = tuple(replace(scenario, contenders=PEERS) for scenario in SIZES[:2])

_CONCURRENCIES: Final = (1, 2, 4, 8, 16, 32)
_LATENCIES: Final = (0, 50, 150, 500)

GRID: Final = tuple(
    Scenario(
        f"grid-{milliseconds}",
        f"{milliseconds} ms per answer",
        schools=4,
        days=8,
        contenders=tuple(
            PARQUET.with_options(f"parquet-{threads}", f"max_concurrency={threads}", max_concurrency=threads)
            for threads in _CONCURRENCIES
        ),
        latency_seconds=milliseconds / 1000,
        limit=BUDGET,
    )
    for milliseconds in _LATENCIES
)

LANDING: Final = Scenario(
    "landing",
    "What landing costs",
    schools=4,
    days=15,
    contenders=(PARQUET.with_options("landing-clock", "with a clock around landing", landing_clock=True),),
)

_LONG: Final = Scenario(
    "limit-1.0",
    "budget_share 1",
    schools=20,
    days=86,
    contenders=(PARQUET.with_options("parquet", PARQUET.title, budget_share=1.0),),
    latency_seconds=0.3,
    limit=BUDGET,
)
LIMITS: Final = (
    _LONG,
    replace(
        _LONG,
        key="limit-0.8",
        title="budget_share 0.8",
        contenders=(PARQUET.with_options("parquet", PARQUET.title, budget_share=0.8),),
    ),
    replace(
        _LONG, key="limit-eight", title="eight processes on one token, budget_share 1", schools=24, days=72, processes=8
    ),
)


def quick(scenario: Scenario, days: int) -> Scenario:
    """The same over fewer days."""
    return replace(scenario, days=days)
