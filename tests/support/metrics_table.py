"""The table of metrics in docs/reference/metrics.md, made of their definitions.

    python -m tests.support.metrics_table

writes it into the page again; a test compares the two.
"""

from pathlib import Path

from airflow_provider_clever.ledger.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"
BEGIN = "<!-- made of ledger/metrics.py by `python -m tests.support.metrics_table` -->\n"
END = "<!-- end -->\n"


def table() -> str:
    """The table as the code has it."""
    head = "| metric | kind | unit | sent by | meaning |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| `airflow.{one.name}` | {one.kind} | {one.unit} | {one.task} | {one.meaning} |\n" for one in METRICS
    )


def in_page() -> str:
    """The table as the page has it."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
