"""Decides whether rows that a pull did not return are deleted, need a second walk, or are doubtful.

The rules in the user's words, with an example each: docs/reference/landed-files.md. Why they are these:
docs/explanation/decisions/0032-an-absence-is-no-deletion-until-it-is-confirmed.md. No clock, no I/O.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverSettingsError

_STUDENT_BYTES: Final = 4
TOKEN_BYTES: Final = 16
"""What is kept in memory of a row that did not come back: a hash of its student, and a hash of the whole row."""

MOST_KEPT: Final = 100_000
"""For how many rows of one school tokens are kept. More are never marked unless a person has allowed it."""

MANY_SCHOOLS: Final = 3
"""From this number of schools on, small losses of single schools are judged as one loss of the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceRules:
    """How many rows may be gone before that is doubted.

    :param school_percent: of a school's live rows in the pull's window. Default 10, as in Clever's own safety
        threshold (clever-api.md 3.6).
    :param run_percent: of the live rows of all schools of the run, where three schools or more lose some. Default 5.
    :param students: rows of so many students may be gone whatever part of a school that is. Default 2.
    :param confirm_seconds: how long to wait before a doubtful school is walked again. Default 10.
    :raises CleverSettingsError: a figure is out of range.
    """

    school_percent: float = 10.0
    run_percent: float = 5.0
    students: int = 2
    confirm_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not (0 <= self.school_percent <= 100 and 0 <= self.run_percent <= 100):
            raise CleverSettingsError("most_missing_percent and most_missing_percent_of_run must be 0 to 100.")
        if self.students < 0 or self.confirm_seconds < 0:
            raise CleverSettingsError("most_missing_students and confirm_seconds cannot be negative.")


class DayEvidence(NamedTuple):
    """The evidence of whole walks about the rows that one school's day had before.

    :param live: how many rows there were, not marked missing.
    :param unseen: how many of them did not come back.
    :param fresh: how many of those are not marked yet.
    :param tokens: name those that did not come back; None: too many to be kept.
    :param asked_at: when the first page of the walk was asked for.
    """

    live: int
    unseen: int = 0
    fresh: int = 0
    tokens: bytes | None = b""
    asked_at: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether there were rows and none came back."""
        return 0 < self.live == self.unseen

    def __repr__(self) -> str:
        return f"DayEvidence({self.unseen} of {self.live} rows did not come back)"


Days = Mapping[str, DayEvidence]
"""One school's days, by attendance date."""


def token(student_id: str, row: Sequence[str | None]) -> bytes:
    """Make the token by which a row is recognized later, without keeping the row."""
    student = hashlib.blake2b(student_id.encode(), digest_size=_STUDENT_BYTES).digest()
    text = "\x1f".join(value or "" for value in row).encode()
    return student + hashlib.blake2b(text, digest_size=TOKEN_BYTES - _STUDENT_BYTES).digest()


def in_both(first: DayEvidence, second: DayEvidence) -> DayEvidence:
    """Combine two walks: a row has come back if it came in either of them."""
    if first.tokens is None or second.tokens is None:
        unseen, fresh = min(first.unseen, second.unseen), min(first.fresh, second.fresh)
        return first._replace(unseen=unseen, fresh=fresh, tokens=None if unseen else b"")
    seen_by_neither = tokens_of(first) & tokens_of(second)
    kept = b"".join(sorted(seen_by_neither))
    fresh = min(first.fresh, len(seen_by_neither))
    return first._replace(unseen=len(seen_by_neither), fresh=fresh, tokens=kept)


def tokens_of(found: DayEvidence) -> set[bytes]:
    """The tokens of the rows that did not come back; none if they were not kept."""
    kept = found.tokens or b""
    return {kept[at : at + TOKEN_BYTES] for at in range(0, len(kept), TOKEN_BYTES)}


class SchoolEvidence:
    """Collects the evidence of walks about a school, a day at a time, in bounded memory.

    :param keeps_all: keep the tokens of any number of rows, because a person has said that they are deleted.
    """

    def __init__(self, *, keeps_all: bool = False) -> None:
        self.days: dict[str, DayEvidence] = {}
        self._keeps_all = keeps_all
        self._kept = 0
        self._void: set[str] = set()

    def add(self, day: str, found: DayEvidence | None) -> None:
        """Add a day.

        :param found: None: nothing follows from rows that did not come back on this day.
        """
        if found is None or day in self._void:
            self._void.add(day)
            self.days.pop(day, None)
            return
        self.days[day] = found
        self._kept += found.unseen
        if self._kept > MOST_KEPT and not self._keeps_all:
            self.days |= {day: one._replace(tokens=None) for day, one in self.days.items() if one.unseen}

    def confirmed_by(self, again: "SchoolEvidence") -> "SchoolEvidence":
        """Combine this walk with a second one; no row is marked of a day that only one of them has walked."""
        both = SchoolEvidence(keeps_all=self._keeps_all)
        both.days = {
            day: in_both(found, again.days.get(day, found._replace(tokens=None))) if found.unseen else found
            for day, found in self.days.items()
        }
        return both


class Verdict(StrEnum):
    """The verdict about the rows of a school that did not come back."""

    NOTHING = "nothing"
    MARK = "mark"
    CONFIRM = "confirm"
    WITHHOLD = "withhold"
    UNSETTLED = "unsettled"


class Amount(NamedTuple):
    """A number of rows out of all rows."""

    rows: int
    of: int

    def exceeds(self, percent: float) -> bool:
        """Whether that is more than this share."""
        return 100 * self.rows > percent * self.of


def amount(days: Days) -> Amount:
    """Count the live rows that did not come back, and all live rows."""
    return Amount(sum(found.unseen for found in days.values()), sum(found.live for found in days.values()))


def judge(days: Days, rules: AbsenceRules, *, is_confirmed: bool) -> Verdict:
    """Judge one school by itself.

    :param days: the days of the pull's window that were walked whole.
    :param is_confirmed: whether a second walk, over a new connection, has found the same.
    """
    if not any(found.fresh for found in days.values()):
        return Verdict.NOTHING
    gone = [day for day, found in days.items() if found.is_gone]
    rest = {day: found for day, found in days.items() if not found.is_gone}
    came_back = any(found.live > found.unseen for found in days.values())
    if came_back and _is_ordinary(days, rules):
        is_safe = not gone or _students(days) <= rules.students
        return Verdict.MARK if is_safe or is_confirmed else Verdict.CONFIRM
    if not is_confirmed:
        return Verdict.CONFIRM
    if came_back and len(gone) == 1 and _is_ordinary(rest, rules) and days[gone[0]].tokens is not None:
        return Verdict.MARK
    return _doubted(days)


def _doubted(days: Days) -> Verdict:
    """One day shows too little of what is usual for a school to ask a person about it."""
    return Verdict.WITHHOLD if sum(found.live > 0 for found in days.values()) > 1 else Verdict.UNSETTLED


def _is_ordinary(days: Days, rules: AbsenceRules) -> bool:
    if any(found.tokens is None for found in days.values()):
        return False
    return not amount(days).exceeds(rules.school_percent) or _students(days) <= rules.students


def _students(days: Days) -> int:
    return len({found[:_STUDENT_BYTES] for one in days.values() for found in tokens_of(one)})


def judge_run(schools: Mapping[str, Days], rules: AbsenceRules, *, confirmed: Collection[str]) -> dict[str, Verdict]:
    """Judge each school of a run, each by itself and all of them together.

    Where many schools lose a little each, and more than the run's bound together, each of them is doubted. Days that
    are gone as a whole do not count there: a second walk confirms them, and a district takes a snow day back in all
    its schools at once.

    :param schools: the days of each school.
    :param confirmed: the schools that were walked a second time.
    """
    verdicts = {id_: judge(days, rules, is_confirmed=id_ in confirmed) for id_, days in schools.items()}
    little = {
        school_id: lost
        for school_id, verdict in verdicts.items()
        if verdict is Verdict.MARK and (lost := _outside_gone_days(schools[school_id]))
    }
    live = sum(amount(days).of for days in schools.values())
    if len(little) >= MANY_SCHOOLS and Amount(sum(little.values()), live).exceeds(rules.run_percent):
        verdicts |= {id_: _doubted(schools[id_]) if id_ in confirmed else Verdict.CONFIRM for id_ in little}
    return verdicts


def _outside_gone_days(days: Days) -> int:
    return sum(found.unseen for found in days.values() if not found.is_gone)


def list_in_doubt(left_out: Sequence[str]) -> str:
    """Explain why a list of schools cannot be trusted, with the next step.

    :param left_out: the schools that it leaves out.
    """
    if not left_out:
        return (
            "Clever's list of schools is empty, so nothing was pulled, and nothing follows from it. Run again later; "
            "if it stays so, ask the district which schools it shares with this app."
        )
    shown = ", ".join(left_out[:10]) + (f" and {len(left_out) - 10} more" if len(left_out) > 10 else "")
    return (
        f"Clever's list of schools leaves out {len(left_out)} schools at once that it named before: {shown}. They were "
        "not pulled, and are not taken for gone. Run again later; if the district has indeed stopped sharing them, say "
        "so: `clever-attendance answer DESTINATION --district ID --school ID --unshared`"
    )


def unlisted(known: Collection[str], listed: Collection[str]) -> list[str] | None:
    """Give the schools that a list leaves out if they are so many that it cannot be trusted. None: it can.

    An empty list cannot be trusted either; it leaves out nothing in particular.

    :param known: the schools that the list before named.
    :param listed: those that it names now.
    """
    left_out = sorted(set(known) - set(listed))
    if not listed:
        return []
    if len(left_out) >= 2 and 10 * len(left_out) > len(set(known)):
        return left_out
    return None
