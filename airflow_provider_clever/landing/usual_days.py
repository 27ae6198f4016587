"""One pulled day as an Arrow batch: its order, its content hash, and its columns as a file holds them.

Each gives for a batch what is given for the same rows in plain columns, to the byte
(docs/explanation/decisions/0020-usual-pages-stay-in-arrow.md).
"""

from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.batches import BATCH_COLUMNS, length, letters, value
from airflow_provider_clever.landing.rows import AFTER_ROW, BETWEEN_VALUES, OFTEN_CONSTANT, PARTITION_COLUMNS, digest_of
from airflow_provider_clever.models import LANDED_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_VARYING: Final = tuple(name for name in BATCH_COLUMNS if name not in PARTITION_COLUMNS)


def is_settled(batch: "pa.RecordBatch") -> bool:
    """Whether the rows are in the order of their keys and no key comes twice, so that nothing is to be settled."""
    import pyarrow.compute as pc

    # The empty text at the end has a separator stand behind the section too.
    parts = (batch["student_id"], batch["attendance_type"], batch["section_id"], "")
    keys = pc.binary_join_element_wise(*parts, BETWEEN_VALUES, null_handling="replace", null_replacement="")
    # A section row without a section has its sis_id for a key, which is for plain columns to sort out.
    if f"section{BETWEEN_VALUES}{BETWEEN_VALUES}".encode() in letters(keys):
        return False
    return pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False


def content_hash(batch: "pa.RecordBatch") -> str:
    """The hash of the rows in their order (rows.content_hash)."""
    import pyarrow.compute as pc

    columns = [batch[name] for name in _VARYING]
    lines = pc.binary_join_element_wise(*columns, BETWEEN_VALUES, null_handling="replace", null_replacement="")
    constant: dict[str, str | None] = {name: value(batch, name, 0) for name in PARTITION_COLUMNS}
    return digest_of(length(batch), {**dict.fromkeys(OFTEN_CONSTANT), **constant}, _joined(lines, AFTER_ROW))


def _joined(column: "pa.StringArray", between: str) -> bytes:
    """All values of a column without nulls as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.ListArray.from_arrays(pa.array([0, len(column)], pa.int32()), column)
    text: bytes = pc.binary_join(whole, between)[0].as_buffer().to_pybytes()
    return text


def file_columns(batch: "pa.RecordBatch", schema: "pa.Schema") -> "list[pa.Array]":
    """The columns with the types of a file; no row is marked missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count, arrays = length(batch), []
    for field in schema:
        if field.name not in BATCH_COLUMNS:
            arrays.append(pa.nulls(count, field.type))
        elif field.name in PARTITION_COLUMNS:
            arrays.append(pa.repeat(pc.cast(batch[field.name][0], field.type), count))
        elif field.type == pa.string():
            arrays.append(batch[field.name])
        else:
            arrays.append(pc.cast(batch[field.name], field.type))
    return arrays


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
    return _joined(pc.binary_join_element_wise(*pieces, f"{between[:-1]}}}\n", ""), "")


_FREE_TEXT: Final = frozenset({"attendance_status", "excuse_code", "sis_id"})
_ESCAPED: Final = bytes(range(32)) + b'"\\'
"""What JSON escapes in a text."""


def _escaped(batch: "pa.RecordBatch", name: str) -> "pa.StringArray":
    """A column as it stands between the quotes of JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch[name]
    letters = _joined(pc.fill_null(column, ""), "") if name in _FREE_TEXT else b""
    if len(letters.translate(None, _ESCAPED)) == len(letters):
        return column
    words = column.dictionary_encode()
    spelled = [encode_basestring(word)[1:-1] for word in words.dictionary.to_pylist()]
    return pc.take(pa.array(spelled, pa.string()), words.indices)
