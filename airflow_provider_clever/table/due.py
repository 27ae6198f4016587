"""Decides which months of a table are due. No I/O."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from airflow_provider_clever.attendance.schema import SCHEMA_VERSION
from airflow_provider_clever.table.cursors import Cursor

CHECK_DAYS: Final = 7
"""Each month is compared with what has landed at least this often, whatever its mark is: a mark may miss changes by
hand, and a pull that was killed between its last write and its notes."""


@dataclass(frozen=True, slots=True)
class MonthsToDo:
    """What an update has to do for a district's months.

    :param due: months to make, whatever they were made of.
    :param doubtful: months to compare with what has landed, and to make if they differ.
    :param removed: months to remove, because no partition of them is left.
    """

    due: tuple[str, ...]
    doubtful: tuple[str, ...]
    removed: tuple[str, ...]


def months_to_do(
    landed: Mapping[str, str | None], cursor: Cursor, *, is_rebuilt: bool = False, is_checked: bool = False
) -> MonthsToDo:
    """Decide what to do for a district's months.

    :param landed: the months that have landed, each with its mark; None: the store gives none.
    :param cursor: what the months in the table were made of.
    :param is_rebuilt: make all of them.
    :param is_checked: compare all of them.
    """
    due, doubtful = [], []
    for month, mark in landed.items():
        known = cursor.months.get(month)
        if is_rebuilt or known is None or known.schema_version != SCHEMA_VERSION:
            due.append(month)
        elif is_checked or mark is None or mark != known.mark:
            doubtful.append(month)
    return MonthsToDo(tuple(due), tuple(doubtful), tuple(sorted(cursor.months.keys() - landed.keys())))


def is_check_due(district_id: str, checked_on: str | None, today: date) -> bool:
    """Whether all months of a district are to be compared again. Districts take turns over the days of a week.

    :param checked_on: when they were last compared; None: never.
    """
    turn = hashlib.sha256(district_id.encode()).digest()[0] % CHECK_DAYS
    last_turn = today - timedelta(days=(today.toordinal() - turn) % CHECK_DAYS)
    return checked_on is None or checked_on < last_turn.isoformat()
