"""The rows of a partition as an Arrow batch of texts: their order, their content hash, and how a file holds them.

A batch has the fields that Clever documents; it may lack ``missing_since`` and ``_extra``, which are null then.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.attendance.batches import ends_and_letters, is_repeated, length
from airflow_provider_clever.attendance.schema import (
    EXTRA,
    LANDED_COLUMNS,
    MISSING_SINCE,
    PARTITION_COLUMNS,
    TIMESTAMP_COLUMNS,
    names,
    names_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR: Final = "\x1f"


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


# --- content hash -----------------------------------------------------------------------------------------------------

_FIRST: Final = names_of(1)
"""What is always hashed, in this order."""
_LATER: Final = names(lambda column: column.since > 1)
"""What is hashed only where it holds something, so that a column that is added changes no hash."""
_OFTEN_CONSTANT: Final = PARTITION_COLUMNS | {MISSING_SINCE.name, EXTRA.name}
"""What is hashed once if it holds one value, or none, throughout."""


def content_hash(batch: "pa.RecordBatch") -> str:
    """A hash of the rows in their order; the same whatever format, library and schema version wrote them.

    How it is made never changes, for it stands in receipts and in names of files. Hashed are the number of rows; the
    columns of schema 1 that hold one value throughout, with it; and of each other column where its texts end, as int32
    with the lowest byte first, beginning with a 0, and all its texts in UTF-8, one after another. None counts as '': no
    landed value is ever the empty text (rows.Columns). A column that came later follows with its name.

    :param batch: rows in the columns of any schema version.
    """
    columns = _columns(batch)
    constant = _constants(columns)
    told = json.dumps(dict(sorted(constant.items())), ensure_ascii=False)
    parts = [f"clever-attendance 1 {length(batch)} {told}\n".encode()]
    nothing = (bytes(4 * (length(batch) + 1)), b"")
    for name in _FIRST:
        if name not in constant:
            parts += ends_and_letters(columns[name]) if name in columns else nothing
    for name in _LATER:
        if name in columns:
            parts += (f"{name}\n".encode(), *ends_and_letters(columns[name]))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _columns(batch: "pa.RecordBatch") -> "dict[str, pa.StringArray]":
    """The columns that hold any value."""
    count = length(batch)
    return {
        name: column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if column.null_count != count
    }


def _constants(columns: "Mapping[str, pa.StringArray]") -> dict[str, str | None]:
    """Those of the columns that often do it and hold one value throughout, with it."""
    constant: dict[str, str | None] = {}
    if columns:
        for name in _OFTEN_CONSTANT:
            if name not in columns:
                constant[name] = None
            elif is_repeated(columns[name]):
                constant[name] = columns[name][0].as_py()
    return constant


# --- as files hold them -----------------------------------------------------------------------------------------------


def file_columns(batch: "pa.RecordBatch", schema: "pa.Schema") -> "list[pa.Array]":
    """The columns with the types of a file."""
    import pyarrow as pa

    count = length(batch)
    moments = [name for name in TIMESTAMP_COLUMNS if name in batch.schema.names]
    # All at once, for between two calls another thread may take the interpreter lock.
    cast = pa.chunked_array([batch[name] for name in moments]).cast(schema.field(moments[0]).type)
    found = {
        **{name: batch[name] for name in batch.schema.names},
        "attendance_date": _days(batch["attendance_date"]),
        **{name: cast.slice(place * count, count) for place, name in enumerate(moments)},
    }
    return [found[field.name] if field.name in found else pa.nulls(count, field.type) for field in schema]


def _days(column: "pa.StringArray") -> "pa.Array":
    import pyarrow as pa

    if len(column) and is_repeated(column):
        return pa.repeat(pa.scalar(date.fromisoformat(column[0].as_py())), len(column))
    return column.cast(pa.date32())


def json_lines(batch: "pa.RecordBatch") -> bytes:
    """The rows as lines of JSON, every column in every line."""
    import pyarrow.compute as pc

    if not length(batch):
        return b""
    columns = _columns(batch)
    constant = _constants(columns)
    pieces: list[Any] = []
    between = "{"
    for name in LANDED_COLUMNS:
        between += f'"{name}":'
        if name in constant or name not in columns:
            text = constant.get(name)
            between += "null" if text is None else encode_basestring(text)
        elif columns[name].null_count:
            quoted = pc.binary_join_element_wise('"', _escaped(name, columns[name]), '"', "")
            pieces += [between, pc.fill_null(quoted, "null")]
            between = ""
        else:
            pieces += [f'{between}"', _escaped(name, columns[name])]
            between = '"'
        between += ","
    return ends_and_letters(pc.binary_join_element_wise(*pieces, f"{between[:-1]}}}\n", ""))[1]


_FREE_TEXT: Final = frozenset(names(lambda column: column.kind in ("text", "json")))
"""What may hold something that JSON escapes; ids, dates and instants never do."""
_ESCAPED: Final = bytes(range(32)) + b'"\\'
"""What JSON escapes in a text."""


def _escaped(name: str, column: "pa.StringArray") -> "pa.StringArray":
    """A column as it stands between the quotes of JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    letters = ends_and_letters(column)[1] if name in _FREE_TEXT else b""
    if len(letters.translate(None, _ESCAPED)) == len(letters):
        return column
    words = column.dictionary_encode()
    spelled = [encode_basestring(word)[1:-1] for word in words.dictionary.to_pylist()]
    return pc.take(pa.array(spelled, pa.string()), words.indices)
