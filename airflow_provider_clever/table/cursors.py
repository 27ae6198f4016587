"""Records what each month of a table was made of, so that an update reads only the months that may have changed.

A *fingerprint* is a hash over the partitions of a month and the rows of each. It depends only on what has landed, so a
copied lake has the same ones. A *mark* shows at almost no cost whether a month may have changed; it comes from the
store. A new mark costs requests, but no rows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from airflow_provider_clever.attendance.schema import SCHEMA_VERSION
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.known_partitions import HASH_DIGITS

CURSOR_VERSION: Final = 1

_DIGITS: Final = 32


class MonthCursor(NamedTuple):
    """What one month of a district was made of.

    :param fingerprint: the fingerprint of the partitions that were read.
    :param mark: the month's mark from before they were read; None: the store gives none.
    :param version: the version of the written file, for tables whose files others could replace; else None.
    """

    fingerprint: str
    mark: str | None = None
    version: str | None = None

    @property
    def schema_version(self) -> int:
        """The schema version with which the month was written."""
        return int(self.fingerprint.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a district's months in a table were made of.

    :param months: the months in the table, by ``YYYY-MM``.
    :param checked_on: when all of them were last compared with what has landed, ``YYYY-MM-DD``; None: never.
    """

    months: Mapping[str, MonthCursor] = field(default_factory=dict)
    checked_on: str | None = None

    def to_json(self) -> str:
        """Write the cursor as one line of JSON. It holds no student data."""
        months = {month: list(one) for month, one in sorted(self.months.items())}
        document = {"cursor_version": CURSOR_VERSION, "checked_on": self.checked_on, "months": months}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Cursor":
        """Read what :meth:`to_json` wrote. A damaged cursor is read as an empty one, so all months are made again.

        :raises CleverLandingError: a newer version wrote it.
        """
        try:
            document = json.loads(text)
            months = {str(month): MonthCursor(*one) for month, one in document["months"].items()}
            newest = max((one.schema_version for one in months.values()), default=0)
            is_newer = document["cursor_version"] > CURSOR_VERSION or newest > SCHEMA_VERSION
            cursor = cls(months, document["checked_on"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()
        if is_newer:
            raise CleverLandingError(
                "A newer version of airflow-provider-clever has written this table. Upgrade this one, then run again"
            )
        return cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorUpdate:
    """What a commit changes in a district's cursor. It is applied to the cursor that another writer may have left.

    :param written: the months that the commit replaces.
    :param removed: the months that it removes.
    :param marks: new marks of months that do not change, each with the fingerprint that it belongs to.
    :param checked_on: see :class:`Cursor`; None: as it was.
    """

    written: Mapping[str, MonthCursor] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    marks: Mapping[str, MonthCursor] = field(default_factory=dict)
    checked_on: str | None = None

    def applied(self, standing: Cursor | None) -> Cursor | None:
        """Give the cursor after the commit. None: nothing of the district is left.

        :param standing: the present cursor, in the transaction that is about to be committed.
        """
        before = standing or Cursor()
        months = {month: one for month, one in before.months.items() if month not in self.removed}
        for month, one in self.marks.items():
            if month in months and months[month].fingerprint == one.fingerprint:
                months[month] = months[month]._replace(mark=one.mark)
        months |= self.written
        return Cursor(months, self.checked_on or before.checked_on) if months else None


def fingerprint_of(partitions: Iterable[tuple[str, str]]) -> str:
    """Compute the fingerprint of a month.

    :param partitions: the path and the content hash of each, in the order of days and schools.
    """
    digest = hashlib.sha256()
    for path, content_hash in partitions:
        digest.update(f"{path} {content_hash[:HASH_DIGITS]}\n".encode())
    return f"{SCHEMA_VERSION}-{digest.hexdigest()[:_DIGITS]}"
