"""Rows as an older schema landed them, in today's columns."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from airflow_provider_clever.attendance.schema import COLUMNS, EXTRA, LANDED_COLUMNS, Column
from airflow_provider_clever.attendance.values import canonical, canonical_json

_Columns: TypeAlias = dict[str, list[str | None]]


def upgrade(columns: Mapping[str, list[str | None]], version: int) -> _Columns:
    """Give the same rows in today's columns.

    A column that came since is null, unless the row has such a field in ``_extra``: then the value moves from there
    into its column, where a pull of the same row would put it now. A value that the column cannot hold stays where it
    is, so nothing is lost.

    :param columns: the rows, in the columns of that version.
    :param version: the schema version that they were landed under.
    """
    added = [column for column in COLUMNS if column.since > version]
    if not added:
        return dict(columns)
    count = len(columns[EXTRA.name])
    nothing: list[str | None] = [None] * count
    upgraded = {name: list(columns.get(name, nothing)) for name in LANDED_COLUMNS}
    for row, text in enumerate(upgraded[EXTRA.name]):
        if text is not None and any(f'"{column.name}"' in text for column in added):
            upgraded[EXTRA.name][row] = _moved(json.loads(text), added, upgraded, row)
    return upgraded


def _moved(extra: dict[str, object], added: Sequence[Column], upgraded: _Columns, row: int) -> str | None:
    """Move what has a column now, and give what is left."""
    for column in added:
        if column.name in extra:
            try:
                upgraded[column.name][row] = canonical(column.kind, extra[column.name])
            except ValueError:
                continue
            del extra[column.name]
    return canonical_json(extra) if extra else None
