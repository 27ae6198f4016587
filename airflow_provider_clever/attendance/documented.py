"""A page of documented fields alone, from Arrow's columns of text to a typed record batch.

It is a shortcut of :mod:`~airflow_provider_clever.attendance.decode`, without a Python object for each value, and no
second definition of what may land: days, instants and what is documented are read by its functions, each distinct text
once. For every page it gives the same rows, or refuses it; then the page goes the other way.

Each of pyarrow's compute functions gives the interpreter lock up, and then waits for all other threads to get it back;
so there are few of them, and over as many columns as there are.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.batches import pulled_schema
from airflow_provider_clever.attendance.content import offsets_and_data
from airflow_provider_clever.attendance.decode import (
    MOST_ID_LENGTH,
    PLACE_COLUMNS,
    Extent,
    UnusableError,
    count_unknown,
    has_id_characters_only,
    place_of,
    read_values,
)
from airflow_provider_clever.attendance.schema import EXTRA, FIELDS, PULLED_COLUMNS, Column, names

if TYPE_CHECKING:
    import pyarrow as pa

_OPTIONAL_TEXT: Final = names(lambda column: column.kind in ("id", "text") and not column.required, columns=FIELDS)
_IDS: Final = names(lambda column: column.kind == "id", columns=FIELDS)
_FEW_VALUES: Final = tuple(column for column in FIELDS if column.kind == "text" and column.required)
_DATES: Final = tuple(column for column in FIELDS if column.kind == "date")
_INSTANTS: Final = tuple(column for column in FIELDS if column.kind == "timestamp")


def typed_batch(columns: "Mapping[str, pa.StringArray]") -> "pa.RecordBatch":
    """Give the rows in PULLED_COLUMNS.

    :param columns: the documented fields as Clever sent them, with at least one row.
    :raises UnusableError: a row may not land.
    """
    import pyarrow as pa

    if any(columns[column.name].null_count for column in FIELDS if column.required):
        raise UnusableError("is missing")
    columns = {**columns, **_without_empty({name: columns[name] for name in _OPTIONAL_TEXT})}
    _check_ids([columns[name] for name in _IDS])
    for column in _FEW_VALUES:
        read_values(column, columns[column.name].unique().to_pylist())
    days = {column.name: _days(column, columns[column.name]) for column in _DATES}
    extra = pa.nulls(len(columns["student_id"]), pa.string())
    typed = {**columns, **days, **_instants(columns), EXTRA.name: extra}
    return pa.record_batch([typed[name] for name in PULLED_COLUMNS], schema=pulled_schema())


def _without_empty(columns: "Mapping[str, pa.StringArray]") -> "Mapping[str, pa.StringArray]":
    """The columns with null for each empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    together = pa.chunked_array(list(columns.values()))
    if pc.min(pc.binary_length(together)).as_py() != 0:
        return columns
    filled = pc.if_else(pc.equal(together, ""), pa.scalar(None, pa.string()), together)
    return dict(zip(columns, filled.chunks, strict=True))


def _check_ids(columns: "list[pa.StringArray]") -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.min_max(pc.binary_length(pa.chunked_array(columns))).as_py()
    is_usable = 0 < lengths["min"] <= lengths["max"] <= MOST_ID_LENGTH
    if not is_usable or not all(has_id_characters_only(offsets_and_data(column)[1]) for column in columns):
        raise UnusableError("is not a usable id")


def _days(column: Column, texts: "pa.StringArray") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    runs = pc.run_end_encode(texts)
    days = pa.array(read_values(column, runs.values.to_pylist()), pa.date32())
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(runs.run_ends, days))


def _instants(columns: "Mapping[str, pa.StringArray]") -> "dict[str, pa.Array]":
    import pyarrow as pa

    # Encoded together, the columns share one dictionary.
    encoded = pa.chunked_array([columns[column.name] for column in _INSTANTS]).dictionary_encode()
    texts = encoded.chunk(0).dictionary.to_pylist()
    values = pa.array(read_values(_INSTANTS[0], texts), pa.timestamp("us", "UTC"))
    return {column.name: values.take(chunk.indices) for column, chunk in zip(_INSTANTS, encoded.chunks, strict=True)}


def extent_of(rows: "pa.RecordBatch") -> Extent:
    """Give what the rows of a page are about; there is at least one."""
    first, last = ({name: rows[name][place].as_py() for name in PLACE_COLUMNS} for place in (0, -1))
    return Extent(
        rows=rows.num_rows,
        district_ids=frozenset(rows["district_id"].unique().to_pylist()),
        school_ids=frozenset(rows["school_id"].unique().to_pylist()),
        days=frozenset(rows["attendance_date"].unique().to_pylist()),
        first=place_of(first),
        last=place_of(last),
    )


def unknown_values(rows: "pa.RecordBatch") -> dict[str, int]:
    """Field -> number of rows with a value there that Clever does not document."""
    checked = {column.name: column.documented for column in FIELDS if column.documented}
    if all(documented.issuperset(rows[name].unique().to_pylist()) for name, documented in checked.items()):
        return {}
    return count_unknown({name: rows[name].to_pylist() for name in checked})
