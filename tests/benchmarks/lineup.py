"""Who is measured, and with which settings."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.benchmarks.standin import ROWS_A_DAY

PULL_THREADS: Final = 16
"""The operator's default max_concurrency."""


@dataclass(frozen=True)
class Contender:
    """One tool with its settings.

    :param key: its name among the measurements.
    :param title: its name in tables.
    :param script: the script in ``contenders/`` that drives it.
    :param environment: the environment it runs in, and its requirements file; empty for the project's own.
    :param package: the package whose version the page tells.
    :param pulls: how often the same is pulled to the same place, each time by a process of its own.
    :param options: what the script understands.
    """

    key: str
    title: str
    script: str
    environment: str = ""
    package: str = ""
    pulls: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def with_options(self, key: str, title: str, **options: Any) -> "Contender":
        """The same tool with other settings."""
        return replace(self, key=key, title=title, options={**self.options, **options})


PARQUET: Final = Contender(
    "parquet",
    "this provider, Parquet",
    "clever.py",
    options={"file_format": "parquet", "rows_a_weekday": ROWS_A_DAY},
)
JSON_LINES: Final = PARQUET.with_options("jsonl", "this provider, JSON lines", file_format="jsonl")
PARQUET_TWICE: Final = replace(PARQUET, pulls=2)
OPERATOR: Final = PARQUET.with_options("operator", "this provider, Parquet, through its operator", operator=True)
PARQUET_32: Final = PARQUET.with_options("parquet-32", "this provider, max_concurrency=32", max_concurrency=32)

HANDWRITTEN: Final = Contender(
    "handwritten",
    "handwritten requests loop, JSON lines, no validation",
    "handwritten.py",
    "handwritten",
    "requests",
    options={"json": "stdlib"},
)
HANDWRITTEN_ORJSON: Final = HANDWRITTEN.with_options("handwritten-orjson", "the same loop with orjson", json="orjson")
HTTP_OPERATOR: Final = Contender(
    "http-operator",
    "HttpOperator, pagination function, page texts to a file",
    "http_operator.py",
    "httpoperator",
    "apache-airflow-providers-http",
)
DLT: Final = Contender("dlt", "dlt rest_api, Parquet", "dlt_rest_api.py", "dlt", "dlt")
DLT_PARALLEL: Final = DLT.with_options("dlt-parallel", "dlt, parallelized=True", parallel=True)
SINGER: Final = Contender("singer", "Singer SDK, msgspec writer, to a file", "singer_tap.py", "singer", "singer-sdk")
AIRBYTE: Final = Contender("airbyte", "Airbyte CDK, records dropped", "airbyte_manifest.py", "airbyte", "airbyte-cdk")
AIRBYTE_PARALLEL: Final = AIRBYTE.with_options("airbyte-parallel", "Airbyte CDK, concurrency_level 8", concurrency=8)
CURL: Final = Contender("curl", "curl to disk, all links known beforehand", "curl.py")

PEERS: Final = (HANDWRITTEN, HTTP_OPERATOR, DLT, SINGER, AIRBYTE)
"""As their users get them: settings as documented, nothing side by side that they do not do by themselves."""

TUNED_PEERS: Final = (HANDWRITTEN_ORJSON, DLT_PARALLEL, AIRBYTE_PARALLEL)
"""With what their documentation offers to make them faster."""
