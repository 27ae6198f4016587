"""Makes record batches of attendance rows, the one form from the decoder to the file.

A day is ``date32``, an instant ``timestamp[us, UTC]``, everything else a string. Rows that are compared one by one, in
merging alone, are tuples of canonical text.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_clever.attendance.schema import (
    COLUMNS,
    LANDED_COLUMNS,
    MISSING_SINCE,
    PULLED_COLUMNS,
    SCHEMA_VERSION,
    names_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = tuple[str | None, ...]
"""One row as canonical text, its values in the order of its batch's columns.

A day is ``YYYY-MM-DD``, an instant ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, so that comparing the text compares the instants.
"""

_INSTANT_LENGTH: Final = len("YYYY-MM-DDTHH:MM:SS.ffffff")


def pulled_schema() -> "pa.Schema":
    """The schema of pulled rows."""
    return _schema(PULLED_COLUMNS)


def landed_schema(version: int = SCHEMA_VERSION) -> "pa.Schema":
    """Give the schema of a partition of this schema version. Default: the present one."""
    return _schema(names_of(version))


@cache
def _schema(names: tuple[str, ...]) -> "pa.Schema":
    import pyarrow as pa

    types = {"date": pa.date32(), "timestamp": pa.timestamp("us", "UTC")}
    kinds = {column.name: column.kind for column in COLUMNS}
    return pa.schema([(name, types.get(kinds[name], pa.string())) for name in names])


def empty(schema: "pa.Schema") -> "pa.RecordBatch":
    """Make a batch without rows."""
    import pyarrow as pa

    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


def joined(parts: "Sequence[pa.RecordBatch]", schema: "pa.Schema") -> "pa.RecordBatch":
    """Join the rows of all parts, in order."""
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0]
    found = pa.Table.from_batches(parts, schema).combine_chunks().to_batches()
    return found[0] if found else empty(schema)


def with_marks(pulled: "pa.RecordBatch") -> "pa.RecordBatch":
    """Give pulled rows in the columns of a partition, none marked missing."""
    import pyarrow as pa

    schema = landed_schema()
    unmarked = pa.nulls(pulled.num_rows, schema.field(MISSING_SINCE.name).type)
    columns = [unmarked if name == MISSING_SINCE.name else pulled[name] for name in LANDED_COLUMNS]
    return pa.record_batch(columns, schema=schema)


def holds_only(column: "pa.Array", value: object) -> bool:
    """Whether no row has another value in this column."""
    import pyarrow as pa

    return bool(column.equals(pa.repeat(pa.scalar(value, column.type), len(column))))


# --- as canonical text ------------------------------------------------------------------------------------------------


def texts(columns: "Sequence[pa.Array]") -> "list[pa.StringArray]":
    """Give these columns as canonical text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = [column.cast(pa.string()) if pa.types.is_date(column.type) else column for column in columns]
    instants = [place for place, column in enumerate(found) if pa.types.is_timestamp(column.type) and len(column)]
    if instants:
        # All at once, for between two calls another thread may take the interpreter lock; each instant once, for a
        # school's day has few. Without its zone the cast is twenty times as fast; every one of ours is UTC.
        encoded = pa.chunked_array([found[place] for place in instants]).dictionary_encode()
        plain = encoded.chunk(0).dictionary.cast(pa.timestamp("us")).cast(pa.string())
        spelled = pc.binary_replace_slice(
            pc.binary_replace_slice(plain, 10, 11, "T"), _INSTANT_LENGTH, _INSTANT_LENGTH + 1, "Z"
        )
        for place, chunk in zip(instants, encoded.chunks, strict=True):
            found[place] = spelled.take(chunk.indices)
    return found


def rows_of(batch: "pa.RecordBatch") -> list[Row]:
    """Give every row as a tuple of canonical text."""
    return list(zip(*(column.to_pylist() for column in texts(batch.columns)), strict=True))


def batch_of(rows: Iterable[Row], schema: "pa.Schema") -> "pa.RecordBatch":
    """Make a batch of rows that are given as canonical text.

    :raises pyarrow.ArrowInvalid: a column cannot hold a text.
    """
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.record_batch(
        [pa.array(values, pa.string()).cast(field.type) for values, field in zip(columns, schema, strict=True)],
        schema=schema,
    )
