"""Rows as an older schema landed them, in today's columns."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_clever.attendance.batches import landed_schema
from airflow_provider_clever.attendance.decode import UnusableError, read_values
from airflow_provider_clever.attendance.schema import COLUMNS, EXTRA, Column
from airflow_provider_clever.attendance.values import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa


def upgrade(landed: "pa.RecordBatch", version: int) -> "pa.RecordBatch":
    """Give the same rows in today's columns.

    A column that came since is null, unless the row has such a field in ``_extra``: then the value moves from there
    into its column, where a pull of the same row would put it now. A value that the column cannot hold stays where it
    is, so nothing is lost.

    :param landed: the rows, in the columns of that version.
    :param version: the schema version that they were landed under.
    """
    import pyarrow as pa

    added = [column for column in COLUMNS if column.since > version]
    if not added:
        return landed
    extras = landed[EXTRA.name].to_pylist()
    moved: dict[str, list[Any]] = {column.name: [None] * len(extras) for column in added}
    for row, text in enumerate(extras):
        if text is not None and any(f'"{column.name}"' in text for column in added):
            extras[row] = _move(json.loads(text), added, moved, row)
    values = {**moved, EXTRA.name: extras}
    columns = [
        pa.array(values[field.name], field.type) if field.name in values else landed[field.name]
        for field in landed_schema()
    ]
    return pa.record_batch(columns, schema=landed_schema())


def _move(extra: dict[str, object], added: Sequence[Column], moved: dict[str, list[Any]], row: int) -> str | None:
    """Move what has a column now, and give what is left."""
    for column in added:
        if column.name in extra:
            try:
                (moved[column.name][row],) = read_values(column, [extra[column.name]])
            except UnusableError:
                continue
            del extra[column.name]
    return canonical_json(extra, is_landed=True) if extra else None
