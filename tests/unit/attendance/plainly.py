"""What is landed, said once more of plain text: the oracle for the content hash and for lines of JSON."""

import hashlib
import json
import struct
from itertools import accumulate

from airflow_provider_clever.attendance.schema import LANDED_COLUMNS, names_of

Columns = dict[str, list[str | None]]
"""Landed rows by column, as canonical text."""

_OFTEN_CONSTANT = ("attendance_date", "school_id", "district_id", "missing_since", "_extra")


def content_hash(columns: Columns) -> str:
    """The content hash of rows of schema 1, as it was defined before anything had landed."""
    constant = {name: columns[name][0] for name in _OFTEN_CONSTANT if len(set(columns[name])) == 1}
    told = json.dumps(dict(sorted(constant.items())), ensure_ascii=False)
    hashed = hashlib.sha256(f"clever-attendance 1 {len(columns['student_id'])} {told}\n".encode())
    for name in names_of(1):
        if name not in constant:
            texts = [(value or "").encode() for value in columns[name]]
            hashed.update(struct.pack(f"<{len(texts) + 1}i", 0, *accumulate(map(len, texts))))
            hashed.update(b"".join(texts))
    return hashed.hexdigest()


def json_lines(columns: Columns) -> bytes:
    """Every row as one line of JSON, every column in every line."""
    rows = (dict(zip(LANDED_COLUMNS, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
