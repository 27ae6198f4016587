"""What tells one attendance row from another."""

from collections.abc import Iterable
from itertools import repeat
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

Key: TypeAlias = tuple[str, ...]
"""What no partition holds twice: student, attendance type, section or '', and sis id or '' where that is needed.

The attendance date is part of the key too, but a partition has only one.
"""


def keys(batch: "pa.RecordBatch") -> list[Key]:
    """The key of every row.

    A section row is told apart by its section; without one (clever-api.md 2.2: it "may" be there), by its ``sis_id``.
    """
    students, types = batch["student_id"].to_pylist(), batch["attendance_type"].to_pylist()
    sections = [section or "" for section in batch["section_id"].to_pylist()]
    sis_ids: Iterable[str] = repeat("")
    if ("section", "") in zip(types, sections, strict=True):
        sis_ids = [
            (sis_id or "") if (kind, section) == ("section", "") else ""
            for kind, section, sis_id in zip(types, sections, batch["sis_id"].to_pylist(), strict=True)
        ]
    return list(zip(students, types, sections, sis_ids, strict=False))
