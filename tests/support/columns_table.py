"""The table of columns in docs/reference/landed-files.md, made of the schema.

    python -m tests.support.columns_table

writes it into the page again; a test compares the two.
"""

from pathlib import Path

from airflow_provider_clever.attendance.schema import COLUMNS, Column

PAGE = Path(__file__).parents[2] / "docs/reference/landed-files.md"
BEGIN = "<!-- made of attendance/schema.py by `python -m tests.support.columns_table` -->\n"
END = "<!-- end -->\n"
_TYPES = {"date": "`date32`", "timestamp": "`timestamp[us, UTC]`"}


def table() -> str:
    """The table as the schema has it."""
    head = "| column | type in Parquet | null | key | personal | schema | meaning |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(map(_line, COLUMNS))


def _line(column: Column) -> str:
    cells = (
        f"`{column.name}`",
        _TYPES.get(column.kind, "string"),
        "" if column.required else "yes",
        {"key": "yes", "partition": "one a file"}.get(column.role, ""),
        "yes" if column.personal else "",
        str(column.since),
        column.meaning,
    )
    return f"| {' | '.join(cells)} |\n"


def in_page() -> str:
    """The table as the page has it."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
