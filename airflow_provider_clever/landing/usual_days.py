"""One pulled day as an Arrow batch: its order, its content hash, and its columns as a file holds them.

Each function gives for a batch what its namesake gives for the same rows in plain columns, or None where plain columns
are needed to say it (docs/explanation/decisions/0020-usual-pages-stay-in-arrow.md).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.batches import BATCH_COLUMNS, length, value
from airflow_provider_clever.landing.rows import BETWEEN_VALUES, PARTITION_COLUMNS, digest_of
from airflow_provider_clever.models import LANDED_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_VARYING: Final = tuple(name for name in BATCH_COLUMNS if name not in PARTITION_COLUMNS)


def is_settled(batch: "pa.RecordBatch") -> bool:
    """Whether the rows are in the order of their keys and no key comes twice, so that nothing is to be settled."""
    import pyarrow.compute as pc

    sections, types = batch["section_id"], batch["attendance_type"]
    # A section row without a section has its sis_id for a key, which is for plain columns to sort out.
    if pc.any(pc.and_(pc.is_null(sections), pc.equal(types, "section"))).as_py():
        return False
    keys = pc.binary_join_element_wise(batch["student_id"], types, pc.fill_null(sections, ""), BETWEEN_VALUES)
    return pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False


def content_hash(batch: "pa.RecordBatch") -> str | None:
    """The hash of the rows in their order (rows.content_hash)."""
    count = length(batch)
    texts = dict(_texts(batch))
    if any(text.count(_SEPARATOR) != count - 1 for text in texts.values()):  # a value holds the separator itself
        return None
    texts.update({name: (value(batch, name, 0) or "").encode() for name in PARTITION_COLUMNS})
    empty = _SEPARATOR * (count - 1)
    return digest_of(count, ((name, texts.get(name, empty)) for name in LANDED_COLUMNS))


_SEPARATOR: Final = BETWEEN_VALUES.encode()


def _texts(batch: "pa.RecordBatch") -> Iterator[tuple[str, bytes]]:
    for name in _VARYING:
        yield name, joined(batch[name], "", BETWEEN_VALUES)


def joined(column: "pa.StringArray", null: str, between: str) -> bytes:
    """All values of a column as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.fill_null(column, null) if column.null_count else column
    whole = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
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
        else:
            arrays.append(pc.cast(batch[field.name], field.type))
    return arrays


def json_lines(batch: "pa.RecordBatch") -> bytes | None:
    """The rows as lines of JSON, as formats.JsonLines writes them; None if a text must be escaped."""
    import pyarrow.compute as pc

    if any(joined(batch[name], "", "").translate(None, _ESCAPED) != joined(batch[name], "", "") for name in _FREE_TEXT):
        return None
    pieces: list[Any] = []
    text = "{"
    for name in LANDED_COLUMNS:
        text += f'"{name}":'
        if name in PARTITION_COLUMNS:
            text += f'"{value(batch, name, 0)}"'
        elif name not in BATCH_COLUMNS:
            text += "null"
        elif batch[name].null_count:
            quoted = pc.binary_join_element_wise('"', batch[name], '"', "")
            pieces += [text, pc.fill_null(quoted, "null")]
            text = ""
        else:
            pieces += [f'{text}"', batch[name]]
            text = '"'
        text += ","
    return joined(pc.binary_join_element_wise(*pieces, f"{text[:-1]}}}\n", ""), "", "")


_FREE_TEXT: Final = ("attendance_status", "excuse_code", "sis_id")
_ESCAPED: Final = bytes(range(32)) + b'"\\'
"""What JSON escapes in a text."""
