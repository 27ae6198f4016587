"""Computes the content hash of a partition's rows, and checks the order of their keys."""

import hashlib
import json
from array import array
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.attendance.batches import holds_only, texts
from airflow_provider_clever.attendance.schema import EXTRA, MISSING_SINCE, PARTITION_COLUMNS, names, names_of

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR: Final = "\x1f"


def is_in_key_order(batch: "pa.RecordBatch") -> bool:
    """Whether the keys of the rows rise strictly, so that none comes twice.

    Also false if a section row has no section: then its ``sis_id`` is in its key, which is not compared here.
    """
    import pyarrow.compute as pc

    # The empty text at the end puts a separator after the section, too. No id and no type contains one.
    parts = (batch["student_id"], batch["attendance_type"], batch["section_id"], "")
    keys = pc.binary_join_element_wise(*parts, _SEPARATOR, null_handling="replace", null_replacement="")
    if f"section{_SEPARATOR}{_SEPARATOR}".encode() in offsets_and_data(keys)[1]:
        return False
    return pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False


_FIRST: Final = names_of(1)
"""What is always hashed, in this order."""
_LATER: Final = names(lambda column: column.since > 1)
"""What is hashed only where it holds something, so that a column that is added changes no hash."""
_OFTEN_CONSTANT: Final = PARTITION_COLUMNS | {MISSING_SINCE.name, EXTRA.name}
"""What is hashed once if it holds one value, or none, throughout."""


def content_hash(batch: "pa.RecordBatch") -> str:
    """Hash rows in their order; the hash does not depend on the format, library and schema version of the file.

    It is computed in the same way for ever, because receipts and names of files contain it. It covers the number of
    rows, the columns of schema 1 that hold one value throughout, with that value, and of each other column its
    canonical text as Arrow lays it out: where the texts end, as int32 with the lowest byte first, beginning with a 0,
    and all texts in UTF-8, one after another. None counts as '': no landed value is ever the empty text. A column that
    came later follows with its name.

    :param batch: rows in the columns of any schema version.
    """
    constant, rest = split_constant(batch)
    count = batch.num_rows
    text = json.dumps(dict(sorted(constant.items())), ensure_ascii=False)
    parts = [f"clever-attendance 1 {count} {text}\n".encode()]
    nothing = (bytes(4 * (count + 1)), b"")
    for name in _FIRST:
        if name not in constant:
            parts += offsets_and_data(rest[name]) if name in rest else nothing
    for name in _LATER:
        if name in rest:
            parts += (f"{name}\n".encode(), *offsets_and_data(rest[name]))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def split_constant(batch: "pa.RecordBatch") -> "tuple[dict[str, str | None], dict[str, pa.StringArray]]":
    """The columns that often hold one value throughout and do, with it; and of the others those that hold any value.

    All in canonical text.
    """
    count = batch.num_rows
    found = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = {name: column for name, column in found.items() if column.null_count != count}
    constant: dict[str, str | None] = {}
    for name in _OFTEN_CONSTANT if columns else ():
        column = columns.get(name)
        if column is None:
            constant[name] = None
        elif column.null_count == 0 and holds_only(column, column[0].as_py()):
            constant[name] = texts([column[:1]])[0][0].as_py()
            del columns[name]
    return constant, dict(zip(columns, texts(list(columns.values())), strict=True))


def offsets_and_data(column: "pa.StringArray") -> tuple[bytes, bytes]:
    """Where the texts end in what follows, as int32, beginning with a 0; and all texts in UTF-8, one after another.

    A null is an empty text here.
    """
    _, offsets, data = column.buffers()
    if not len(column):
        return bytes(4), b""
    ends = memoryview(offsets).cast("i")[column.offset : column.offset + len(column) + 1]
    start, end = ends[0], ends[-1]
    relative = bytes(ends) if not start else array("i", [place - start for place in ends]).tobytes()
    return relative, bytes(memoryview(data or b"")[start:end])
