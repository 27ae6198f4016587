"""The kinds of findings of verify, and the collection of findings."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = {
    "damaged": "objects that cannot be read, or whose rows are not those that were written",
    "strange": "objects among the partitions that are none",
    "duplicate_keys": "keys that stand twice in a partition",
    "misplaced_rows": "rows in the partition of another district, school or day",
    "lost": "partitions that a receipt speaks of and that are not there",
    "disagreeing": "partitions whose rows are not those that the newest receipt speaks of",
    "unfinished": "partitions that no receipt speaks of yet: a run is under way, or ended before its receipt",
    "uncovered_days": "calendar days of a school that no complete pull covered, between its first and last covered day",
    "stale_months": "months of the table that were made of other rows than have landed by now",
    "missing_at_clever": "rows that Clever no longer has",
    "in_two_schools": "student-days with a live daily row in two schools",
}
"""The kinds of findings, in words."""

HARMLESS: Final = frozenset({"stale_months", "missing_at_clever", "in_two_schools"})
"""Findings that the district causes or the next table update fixes: nothing is wrong with the landed files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found, with ids: for the details file, never for a log.

    :param kind: one of :data:`KINDS`.
    :param path: of the object, relative to the destination; or of the prefix, for days.
    :param count: how many keys, rows or days.
    """

    kind: str
    district_id: str
    path: str
    count: int = 1
    school_id: str | None = None
    attendance_date: str | None = None
    student_id: str | None = field(default=None, repr=False)
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What verify has read and found.

    :param districts: the districts that were read.
    :param partitions: how many partitions were read.
    :param rows: how many rows they hold.
    :param receipts: how many receipts were read.
    :param counts: how often each of :data:`KINDS` was found.
    """

    districts: tuple[str, ...]
    partitions: int
    rows: int
    receipts: int
    counts: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the landed files."""
        return not any(count for kind, count in self.counts.items() if kind not in HARMLESS)


class Findings:
    """Counts findings, and passes them on."""

    def __init__(self, details: Callable[[Finding], None] | None) -> None:
        self.found: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self._details = details

    def add(self, finding: Finding) -> None:
        """Count one finding; a count of zero is no finding."""
        if finding.count:
            self.found[finding.kind] += finding.count
            if self._details:
                self._details(finding)
