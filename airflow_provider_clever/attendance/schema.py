"""Every column of attendance, once: whatever lists columns is derived from here.

A column that Clever documents later is one more field of :class:`AttendanceRecord`, optional, with the next schema
version as its ``since``. What that means for files that have landed:
docs/explanation/decisions/0025-older-files-are-read-not-rewritten.md.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_clever.attendance.values import (
    CleverDate,
    CleverId,
    CleverMoment,
    Kind,
    OptionalId,
    OptionalText,
    Text,
)

ATTENDANCE_STATUSES: Final = frozenset({"present", "absent", "tardy"})
ATTENDANCE_TYPES: Final = frozenset({"daily", "section"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    :param name: its name at Clever and in a file.
    :param kind: what it holds.
    :param meaning: in the words of docs/reference/landed-files.md.
    :param role: ``partition``: one value throughout a partition; ``key``: tells the rows of a partition apart;
        ``mark``: only merging sets it; ``extra``: the fields that have no column; else ``value``.
    :param since: the schema version that brought it. Default 1.
    :param required: whether no row lands without it.
    :param documented: the values that Clever documents. Default: any.
    :param repeats: how often a value comes again within a school's day: ``much`` (dictionaries and run lengths leave
        next to nothing), ``some``, or ``hardly`` (a dictionary would be as long as the column).
    :param personal: whether it is about one student, so that it must stand in no log and no receipt.
    """

    kind: Kind
    meaning: str
    name: str = ""
    role: Literal["partition", "key", "value", "mark", "extra"] = "value"
    since: int = 1
    required: bool = False
    documented: frozenset[str] = frozenset()
    repeats: Literal["much", "some", "hardly"] = "some"
    personal: bool = False


class AttendanceRecord(BaseModel):
    """One statement by a district about one student, one day and one section or the whole day.

    Fields as in clever-api.md 2.2. Fields that Clever adds later are kept in ``model_extra``. Its ``repr`` names the
    school and the day only.
    """

    # Messages of pydantic quote the input, which is an education record; hide it even if one escapes.
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    attendance_date: Annotated[
        CleverDate, Column(kind="date", role="partition", repeats="much", meaning="the school's own calendar day")
    ]
    student_id: Annotated[
        CleverId,
        Field(repr=False),
        Column(kind="id", role="key", repeats="hardly", personal=True, meaning="Clever's id of the student"),
    ]
    section_id: Annotated[
        OptionalId,
        Column(
            kind="id",
            role="key",
            repeats="hardly",
            meaning="Clever's id of the section; null on daily rows, and on section rows that name none",
        ),
    ] = None
    attendance_type: Annotated[
        Text,
        Column(
            kind="text",
            role="key",
            repeats="much",
            documented=ATTENDANCE_TYPES,
            meaning="`daily` or `section`; another value lands as it is",
        ),
    ]
    attendance_status: Annotated[
        Text,
        Column(
            kind="text",
            repeats="much",
            documented=ATTENDANCE_STATUSES,
            personal=True,
            meaning="`present`, `absent` or `tardy`; another value lands as it is",
        ),
    ]
    excuse_code: Annotated[
        OptionalText,
        Column(
            kind="text",
            repeats="much",
            personal=True,
            meaning="the district's own text; also on rows that are present",
        ),
    ] = None
    sis_id: Annotated[
        OptionalText,
        Column(
            kind="text",
            role="key",
            repeats="hardly",
            personal=True,
            meaning="the SIS's id of the entry",
        ),
    ] = None
    school_id: Annotated[
        CleverId, Column(kind="id", role="partition", repeats="much", meaning="Clever's id of the school")
    ]
    district_id: Annotated[
        CleverId, Column(kind="id", role="partition", repeats="much", meaning="Clever's id of the district")
    ]
    created: Annotated[CleverMoment, Column(kind="timestamp", meaning="when Clever first saw the row")] = None
    last_modified: Annotated[
        CleverMoment, Column(kind="timestamp", meaning="when Clever last changed the row; null is oldest")
    ] = None

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        """Give what a log may hold."""
        return [("school_id", self.school_id), ("attendance_date", self.attendance_date.isoformat())]


MISSING_SINCE: Final = Column(
    name="missing_since",
    kind="timestamp",
    role="mark",
    repeats="much",
    meaning="null: Clever has the row. Else: the sync since which it has not",
)
EXTRA: Final = Column(
    name="_extra",
    kind="json",
    role="extra",
    personal=True,
    meaning="fields that Clever added since, as one JSON object with sorted keys; else null",
)


def _documented_fields() -> Iterator[Column]:
    for name, field in AttendanceRecord.model_fields.items():
        (column,) = (found for found in field.metadata if isinstance(found, Column))
        yield replace(column, name=name, required=field.is_required())


FIELDS: Final = tuple(_documented_fields())
"""What Clever documents, in the order of a file."""

COLUMNS: Final = (*FIELDS, MISSING_SINCE, EXTRA)
"""What a partition holds, in its order."""

SCHEMA_VERSION: Final = max(column.since for column in COLUMNS)
"""Version of the landed columns. It rises with each column that is added, and for nothing else."""


def names(has: Callable[[Column], bool] = lambda _: True, *, columns: tuple[Column, ...] = COLUMNS) -> tuple[str, ...]:
    """Give the names of the columns for which this holds; default all, in their order."""
    return tuple(column.name for column in columns if has(column))


def names_of(version: int) -> tuple[str, ...]:
    """Give the columns of a file of this schema version, in their order."""
    return names(lambda column: column.since <= version)


def version_of(found: Sequence[str]) -> int | None:
    """Give the newest schema version that has exactly these columns in this order; None: no version does."""
    return next((version for version in range(SCHEMA_VERSION, 0, -1) if names_of(version) == tuple(found)), None)


FIELD_NAMES: Final = names(columns=FIELDS)
PULLED_COLUMNS: Final = (*FIELD_NAMES, EXTRA.name)
"""What a pull fills."""

LANDED_COLUMNS: Final = names()
"""What a partition holds: the pulled columns and the mark that only merging sets."""

TIMESTAMP_COLUMNS: Final = frozenset(names(lambda column: column.kind == "timestamp"))
PARTITION_COLUMNS: Final = frozenset(names(lambda column: column.role == "partition"))
"""Columns that hold one value throughout a partition."""
