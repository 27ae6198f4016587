"""One pulled day as an Arrow batch: its order, its content hash, and its columns as a file holds them.

Each gives for a batch what is given for the same rows in plain columns, to the byte
(docs/explanation/decisions/0020-usual-pages-stay-in-arrow.md).
"""

from datetime import date
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.attendance.schema import (
    FIELDS,
    LANDED_COLUMNS,
    PARTITION_COLUMNS,
    TIMESTAMP_COLUMNS,
    names,
)
from airflow_provider_clever.batches import BATCH_COLUMNS, ends_and_letters, length, value
from airflow_provider_clever.landing.rows import FIRST_COLUMNS, LATER_COLUMNS, OFTEN_CONSTANT, digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR: Final = "\x1f"
_MOMENTS: Final = tuple(name for name in TIMESTAMP_COLUMNS if name in BATCH_COLUMNS)
_VARYING: Final = tuple(name for name in FIRST_COLUMNS if name in BATCH_COLUMNS and name not in PARTITION_COLUMNS)


def is_settled(batch: "pa.RecordBatch") -> bool:
    """Whether the rows are in the order of their keys and no key comes twice, so that nothing is to be settled."""
    import pyarrow.compute as pc

    # The empty text at the end has a separator stand behind the section too. No id and no type holds one.
    parts = (batch["student_id"], batch["attendance_type"], batch["section_id"], "")
    keys = pc.binary_join_element_wise(*parts, _SEPARATOR, null_handling="replace", null_replacement="")
    # A section row without a section has its sis_id for a key, which is for plain columns to sort out.
    if f"section{_SEPARATOR}{_SEPARATOR}".encode() in ends_and_letters(keys)[1]:
        return False
    return pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False


def content_hash(batch: "pa.RecordBatch") -> str:
    """The hash of the rows in their order (rows.content_hash)."""
    constant: dict[str, str | None] = {name: value(batch, name, 0) for name in PARTITION_COLUMNS}
    varying = (ends_and_letters(batch[name]) for name in _VARYING)
    later = ((name, ends_and_letters(batch[name])) for name in LATER_COLUMNS if batch[name].null_count < length(batch))
    return digest_of(length(batch), {**dict.fromkeys(OFTEN_CONSTANT), **constant}, varying, later)


def file_columns(batch: "pa.RecordBatch", schema: "pa.Schema") -> "list[pa.Array]":
    """The columns with the types of a file; no row is marked missing."""
    import pyarrow as pa

    count = length(batch)
    day = date.fromisoformat(value(batch, "attendance_date", 0) or "")
    moments = pa.chunked_array([batch[name] for name in _MOMENTS]).cast(schema.field(_MOMENTS[0]).type)
    found = {
        **{name: batch[name] for name in BATCH_COLUMNS},
        "attendance_date": pa.repeat(pa.scalar(day), count),
        **{name: moments.slice(place * count, count) for place, name in enumerate(_MOMENTS)},
    }
    return [found[field.name] if field.name in found else pa.nulls(count, field.type) for field in schema]


def json_lines(batch: "pa.RecordBatch") -> bytes:
    """The rows as lines of JSON, as formats.JsonLines writes them."""
    import pyarrow.compute as pc

    pieces: list[Any] = []
    between = "{"
    for name in LANDED_COLUMNS:
        between += f'"{name}":'
        if name in PARTITION_COLUMNS:
            between += f'"{value(batch, name, 0)}"'
        elif name not in BATCH_COLUMNS:
            between += "null"
        elif batch[name].null_count:
            quoted = pc.binary_join_element_wise('"', _escaped(batch, name), '"', "")
            pieces += [between, pc.fill_null(quoted, "null")]
            between = ""
        else:
            pieces += [f'{between}"', _escaped(batch, name)]
            between = '"'
        between += ","
    return ends_and_letters(pc.binary_join_element_wise(*pieces, f"{between[:-1]}}}\n", ""))[1]


_FREE_TEXT: Final = frozenset(names(lambda column: column.kind == "text", columns=FIELDS)) - {"attendance_type"}
_ESCAPED: Final = bytes(range(32)) + b'"\\'
"""What JSON escapes in a text."""


def _escaped(batch: "pa.RecordBatch", name: str) -> "pa.StringArray":
    """A column as it stands between the quotes of JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch[name]
    letters = ends_and_letters(column)[1] if name in _FREE_TEXT else b""
    if len(letters.translate(None, _ESCAPED)) == len(letters):
        return column
    words = column.dictionary_encode()
    spelled = [encode_basestring(word)[1:-1] for word in words.dictionary.to_pylist()]
    return pc.take(pa.array(spelled, pa.string()), words.indices)
