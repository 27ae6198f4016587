"""What tells one attendance row from another, and one partition's content from another's."""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from itertools import accumulate, chain, repeat
from typing import Final, TypeAlias

from airflow_provider_clever.attendance.schema import EXTRA, MISSING_SINCE, PARTITION_COLUMNS, names, names_of
from airflow_provider_clever.batches import length
from airflow_provider_clever.models import LANDED_COLUMNS, PULLED_COLUMNS, Columns

Row: TypeAlias = tuple[str | None, ...]
"""One row, its values in the order of the columns it was taken from."""

Key: TypeAlias = tuple[str, ...]
"""What no partition holds twice: student, attendance type, section or '', and sis id or '' where that is needed.

The attendance date is part of the key too, but a partition has only one.
"""

FIRST_COLUMNS: Final = names_of(1)
"""What the content hash is always taken over, in this order."""

LATER_COLUMNS: Final = names(lambda column: column.since > 1)
"""What is hashed only where it holds something, so that a column that is added changes no hash."""

OFTEN_CONSTANT: Final = PARTITION_COLUMNS | {MISSING_SINCE.name, EXTRA.name}
"""Columns that are hashed once if they hold one value, or none, throughout."""


def keys(columns: Columns) -> list[Key]:
    """The key of every row.

    A section row is told apart by its section; without one (clever-api.md 2.2: it "may" be there), by its ``sis_id``.
    """
    students, types = columns["student_id"], columns["attendance_type"]
    sections = [section or "" for section in columns["section_id"]]
    sis_ids: Iterable[str] = repeat("")
    if ("section", "") in zip(types, sections, strict=True):
        sis_ids = [
            (sis_id or "") if (kind, section) == ("section", "") else ""
            for kind, section, sis_id in zip(types, sections, columns["sis_id"], strict=True)
        ]
    # Student and type are never None: a row without them has no usable key and goes to quarantine before this.
    return list(zip(students, types, sections, sis_ids, strict=False))  # type: ignore[arg-type]  # as said above


def reorder(columns: Columns, order: list[int]) -> Columns:
    """The rows with these positions, in this order."""
    return {name: [values[position] for position in order] for name, values in columns.items()}


def with_marks(pulled: Columns) -> Columns:
    """Pulled columns as a partition holds them, no row marked missing."""
    unmarked: list[str | None] = [None] * length(pulled)
    return {name: unmarked if name == "missing_since" else pulled[name] for name in LANDED_COLUMNS}


def content_hash(columns: Columns) -> str:
    """A hash of the rows in their order; the same whatever format, library and schema version wrote them.

    :param columns: those of any schema version.
    :raises UnicodeEncodeError: if a text holds a lone surrogate.
    """
    constant = {name: columns[name][0] for name in OFTEN_CONSTANT if len(set(columns[name])) == 1}
    varying = (_ends_and_letters(columns[name]) for name in FIRST_COLUMNS if name not in constant)
    later = ((name, _ends_and_letters(columns[name])) for name in LATER_COLUMNS if any(columns.get(name, ())))
    return digest_of(length(columns), constant, varying, later)


def digest_of(
    count: int,
    constant: Mapping[str, str | None],
    varying: Iterable[tuple[bytes, bytes]],
    later: Iterable[tuple[str, tuple[bytes, bytes]]] = (),
) -> str:
    """The content hash of so many rows. How it is made never changes: it stands in receipts and in names of files.

    :param constant: those of :data:`OFTEN_CONSTANT` that hold one value throughout, with it.
    :param varying: of each other one of :data:`FIRST_COLUMNS`, in their order: where its texts end, as int32 with the
        lowest byte first, beginning with a 0; and all its texts in UTF-8, one after another. None counts as '': no
        landed value is ever the empty text (models.Columns).
    :param later: the same of :data:`LATER_COLUMNS` that hold a value at all, with their names.
    """
    told = json.dumps(dict(sorted(constant.items())), ensure_ascii=False)
    head = f"clever-attendance 1 {count} {told}\n".encode()
    added = ((f"{name}\n".encode(), *parts) for name, parts in later)
    return hashlib.sha256(b"".join((head, *chain.from_iterable(varying), *chain.from_iterable(added)))).hexdigest()


def _ends_and_letters(values: list[str | None]) -> tuple[bytes, bytes]:
    texts = [value or "" for value in values]
    letters = "".join(texts)
    found = letters.encode()
    lengths = map(len, texts) if len(found) == len(letters) else (len(text.encode()) for text in texts)
    return struct.pack(f"<{len(texts) + 1}i", 0, *accumulate(lengths)), found


def mended(text: str) -> str:
    """The text with surrogate pairs joined and every lone surrogate replaced by U+FFFD: UTF-8 cannot hold one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_surrogates(columns: Columns) -> Columns:
    """The rows with every text mended."""
    return {name: [value and mended(value) for value in values] for name, values in columns.items()}


def canonical_json(names: tuple[str, ...], row: Row) -> str:
    """One row as JSON with sorted keys and without nulls, so that equal rows give equal text."""
    present = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    return json.dumps(present, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def pulled_rows(columns: Columns) -> list[Row]:
    """Every row as a tuple in the order of PULLED_COLUMNS."""
    return list(zip(*(columns[name] for name in PULLED_COLUMNS), strict=True))
