"""A page of documented fields alone, from Arrow's columns of text to a typed record batch.

It is a shortcut of :mod:`~airflow_provider_clever.attendance.decode`, without a Python object for each value, and no
second definition of what may land: days, instants and what is documented are read by its functions, each distinct text
once; Arrow reads instants only in the one spelling that Clever documents. For every page it gives the same rows, or
refuses it; then the page goes the other way.

Each of pyarrow's compute functions gives the interpreter lock up, and then waits for all other threads to get it back;
so there are few of them, and over as many columns as there are.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.attendance.batches import holds_only, pulled_schema
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
from airflow_provider_clever.attendance.schema import EXTRA, FIELDS, PULLED_COLUMNS, names

if TYPE_CHECKING:
    import pyarrow as pa

_OPTIONAL_TEXT: Final = names(lambda column: column.kind in ("id", "text") and not column.required, columns=FIELDS)
_IDS: Final = names(lambda column: column.kind == "id", columns=FIELDS)
_FEW_VALUES: Final = tuple(column for column in FIELDS if column.kind == "text" and column.required)
(_DATE,) = (column for column in FIELDS if column.kind == "date")
_INSTANTS: Final = tuple(column for column in FIELDS if column.kind == "timestamp")
_INSTANT_NAMES: Final = tuple(column.name for column in _INSTANTS)
_MEASURED: Final = tuple(dict.fromkeys((*_IDS, *_OPTIONAL_TEXT, *_INSTANT_NAMES)))


class Documented(NamedTuple):
    """The rows of a page that may land, and what is known of them.

    :param rows: in PULLED_COLUMNS.
    :param unknown_values: field -> number of rows with a value there that Clever does not document.
    """

    rows: "pa.RecordBatch"
    extent: Extent
    unknown_values: dict[str, int]


def read_documented(columns: "Mapping[str, pa.StringArray]") -> Documented:
    """Give the rows, typed.

    :param columns: the documented fields as Clever sent them, with at least one row.
    :raises UnusableError: a row may not land.
    """
    import pyarrow as pa

    if any(columns[column.name].null_count for column in FIELDS if column.required):
        raise UnusableError("is missing")
    lengths = _lengths(columns)
    if _extremes(lengths, _OPTIONAL_TEXT)["min"] == 0:
        columns = {**columns, **_without_empty({name: columns[name] for name in _OPTIONAL_TEXT})}
        lengths = _lengths(columns)
    _check_ids(columns, lengths)
    days, distinct_days = _days(columns["attendance_date"])
    extra = pa.nulls(len(days), pa.string())
    typed = {**columns, "attendance_date": days, **_instants(columns, lengths), EXTRA.name: extra}
    rows = pa.record_batch([typed[name] for name in PULLED_COLUMNS], schema=pulled_schema())
    first, last = ({name: rows[name][place].as_py() for name in PLACE_COLUMNS} for place in (0, -1))
    owners = (_distinct(rows["district_id"]), _distinct(rows["school_id"]))
    extent = Extent(rows.num_rows, *owners, distinct_days, place_of(first), place_of(last))
    return Documented(rows, extent, _unknown_values(columns))


def _lengths(columns: "Mapping[str, pa.StringArray]") -> "Mapping[str, pa.ChunkedArray]":
    """How many bytes each text of the measured columns has; null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return _apart(pc.binary_length(pa.chunked_array([columns[name] for name in _MEASURED])), _MEASURED)


def _apart(together: "pa.ChunkedArray", names: Sequence[str]) -> "dict[str, pa.ChunkedArray]":
    """The columns of which a function was given all at once; it may have joined their chunks."""
    count = len(together) // len(names)
    return {name: together.slice(place * count, count) for place, name in enumerate(names)}


def _extremes(lengths: "Mapping[str, pa.ChunkedArray]", names: Sequence[str]) -> dict[str, int | None]:
    """The shortest and the longest text of some columns, as ``min`` and ``max``; None if they hold none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for name in names for chunk in lengths[name].chunks]
    found: dict[str, int | None] = pc.min_max(pa.chunked_array(chunks)).as_py()
    return found


def _without_empty(columns: "Mapping[str, pa.StringArray]") -> "Mapping[str, pa.StringArray]":
    """The columns with null for each empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    together = pa.chunked_array(list(columns.values()))
    filled = pc.if_else(pc.equal(together, ""), pa.scalar(None, pa.string()), together)
    return dict(zip(columns, filled.chunks, strict=True))


def _check_ids(columns: "Mapping[str, pa.StringArray]", lengths: "Mapping[str, pa.ChunkedArray]") -> None:
    found = _extremes(lengths, _IDS)
    is_usable = bool(found["min"]) and (found["max"] or 0) <= MOST_ID_LENGTH
    if not is_usable or not all(has_id_characters_only(offsets_and_data(columns[name])[1]) for name in _IDS):
        raise UnusableError("is not a usable id")


def _unknown_values(columns: "Mapping[str, pa.StringArray]") -> dict[str, int]:
    """Count what is not documented; required text without a value is found here too."""
    is_known = True
    for column in _FEW_VALUES:
        distinct = read_values(column, columns[column.name].unique().to_pylist())
        is_known = is_known and column.documented.issuperset(distinct)
    return {} if is_known else count_unknown({column.name: columns[column.name].to_pylist() for column in _FEW_VALUES})


def _distinct(column: "pa.StringArray") -> frozenset[str]:
    first = column[0].as_py()
    return frozenset([first] if holds_only(column, first) else column.unique().to_pylist())


def _days(texts: "pa.StringArray") -> "tuple[pa.Array, frozenset[date]]":
    """The days of the rows, and each of them once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    runs = pc.run_end_encode(texts)
    days = read_values(_DATE, runs.values.to_pylist())
    encoded = pa.RunEndEncodedArray.from_arrays(runs.run_ends, pa.array(days, pa.date32()))
    return pc.run_end_decode(encoded), frozenset(days)


def _instants(
    columns: "Mapping[str, pa.StringArray]", lengths: "Mapping[str, pa.ChunkedArray]"
) -> "dict[str, pa.Array]":
    import pyarrow as pa

    together = pa.chunked_array([columns[name] for name in _INSTANT_NAMES])
    as_instants = pa.timestamp("us", "UTC")
    if _are_spelled_as_documented([columns[name] for name in _INSTANT_NAMES], _extremes(lengths, _INSTANT_NAMES)):
        found = _apart(together.cast(as_instants), _INSTANT_NAMES)
        return {name: column.combine_chunks() for name, column in found.items()}
    # Encoded together, the columns share one dictionary.
    encoded = together.dictionary_encode()
    texts = encoded.chunk(0).dictionary.to_pylist()
    values = pa.array(read_values(_INSTANTS[0], texts), as_instants)
    return {name: values.take(chunk.indices) for name, chunk in zip(_INSTANT_NAMES, encoded.chunks, strict=True)}


_DOCUMENTED_LENGTH: Final = len("2026-01-05T22:31:07.000Z")
"""How Clever writes an instant (clever-api.md 2.1)."""


def _are_spelled_as_documented(columns: "Sequence[pa.StringArray]", lengths: Mapping[str, int | None]) -> bool:
    """Whether no instant is spelled in a way of which Arrow and decode.py think differently.

    What Arrow's cast accepts at this length, with a ``Z`` at the end, decode.py accepts too, with the same instant; but
    for the year 0, so all of them must lie within the years 1000 to 2999.
    """
    if not lengths["min"] == lengths["max"] == _DOCUMENTED_LENGTH:
        return False
    texts = [offsets_and_data(column)[1] for column in columns]
    return not any(
        text[::_DOCUMENTED_LENGTH].strip(b"12") or text[_DOCUMENTED_LENGTH - 1 :: _DOCUMENTED_LENGTH].strip(b"Z")
        for text in texts
    )
