"""Decides about rows that did not come back: mark them as missing, withhold them, or ask for them again first.

Their days have landed before, without marks (lake/store.py). Each school's whole window is judged
(attendance/absence.py).
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Final

from airflow_provider_clever.attendance.absence import (
    AbsenceRules,
    DayEvidence,
    Days,
    SchoolEvidence,
    Verdict,
    amount,
    judge,
    judge_run,
)
from airflow_provider_clever.dates import DateRange, date_ranges
from airflow_provider_clever.lake.answers import Answers, Withheld
from airflow_provider_clever.lake.pull_findings import SchoolOutcome
from airflow_provider_clever.lake.receipts import SchoolState
from airflow_provider_clever.pull.side_by_side import side_by_side
from airflow_provider_clever.transfer.landing import Landing

_MARKING_THREADS: Final = 8
_UNLISTED: Final = "Clever's list of schools does not name it"
_UNCONFIRMED: Final = "the second walk did not end"


class MissingRows:
    """Decides about the rows of each school that did not come back.

    :param evidence: the evidence of a first walk, for the schools that were walked to their end.
    :param rules: how many rows may be gone before that is doubted.
    :param answers: a person's answers about days of these schools.
    :param key_id: the id of the run's idempotency key.
    """

    def __init__(
        self, evidence: Mapping[str, SchoolEvidence], rules: AbsenceRules, answers: Answers, key_id: str
    ) -> None:
        self._evidence = dict(evidence)
        self._rules = rules
        self._answers = answers
        self._key_id = key_id
        self._confirmed: set[str] = set()
        self._reasons: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self._judge()

    @property
    def has_to_mark(self) -> bool:
        """Whether any school has unmarked rows that did not come back."""
        return any(verdict is not Verdict.NOTHING for verdict in self.verdicts.values())

    @property
    def to_confirm(self) -> list[str]:
        """The schools that have to be walked again before anything is concluded."""
        return [school_id for school_id, verdict in self.verdicts.items() if verdict is Verdict.CONFIRM]

    def leave_unlisted(self, listed: Collection[str]) -> None:
        """Conclude nothing about schools that the district's list does not name."""
        self._reasons |= {
            school_id: _UNLISTED
            for school_id, verdict in self.verdicts.items()
            if verdict is not Verdict.NOTHING and school_id not in listed
        }
        self._judge()

    def confirm(self, again: Mapping[str, SchoolEvidence], *, ended: Collection[str]) -> None:
        """Add the evidence of a second walk.

        :param again: the evidence, by school.
        :param ended: the schools that the walk has walked to their end.
        """
        for school_id in self.to_confirm:
            if school_id in ended:
                self._confirmed.add(school_id)
                found = again.get(school_id, SchoolEvidence())
                self._evidence[school_id] = self._evidence[school_id].confirmed_by(found)
            else:
                self._reasons[school_id] = _UNCONFIRMED
        self._judge()

    def marks(self) -> Iterator[tuple[str, str, DayEvidence]]:
        """Give school, day and rows of everything to mark."""
        for school_id, verdict in self.verdicts.items():
            if school_id in self._reasons:
                continue
            spoken_of = self._days(school_id, "deleted")
            days = spoken_of if verdict in (Verdict.WITHHOLD, Verdict.UNSETTLED) else None
            if verdict is Verdict.MARK:
                days = {**self._days(school_id, None), **spoken_of}
            yield from ((school_id, day, found) for day, found in (days or {}).items() if found.fresh)

    def states(self) -> dict[str, SchoolState]:
        """The schools of which rows did not come back and nothing was concluded."""
        return {
            school_id: "withheld" if verdict is Verdict.WITHHOLD else "unsettled"
            for school_id, verdict in self.verdicts.items()
            if verdict in (Verdict.WITHHOLD, Verdict.UNSETTLED) and self._reasons.get(school_id) != _UNCONFIRMED
        }

    def outcomes(
        self,
        window: DateRange,
        names: Mapping[str, str],
        now: str,
        unmarked: Collection[tuple[str, str]] = (),
    ) -> dict[str, SchoolOutcome]:
        """Give what to record about each school (lake/answers.py).

        :param window: the days that were walked.
        :param now: the present instant, UTC.
        :param unmarked: schools and days that the destination did not let us mark; an answer about them still holds.
        """
        states = self.states()
        return {
            school_id: SchoolOutcome(
                name=names.get(school_id, ""),
                window=window,
                withheld=self._withheld(school_id, now) if states.get(school_id) == "withheld" else None,
                ended=tuple(day for day in self._ended(school_id) if (school_id, day) not in unmarked),
            )
            for school_id in self.verdicts
            if self._reasons.get(school_id) != _UNCONFIRMED
        }

    def unsettled(self, now: str) -> dict[str, Withheld]:
        """Give the schools of which too little is known to judge."""
        return {id_: self._withheld(id_, now) for id_, state in self.states().items() if state == "unsettled"}

    def _withheld(self, school_id: str, now: str) -> Withheld:
        days = self._days(school_id, None)
        lost = amount(days)
        spans = date_ranges(date.fromisoformat(day) for day, found in days.items() if found.unseen)
        reason = self._reasons.get(school_id, "")
        return Withheld(rows=lost.rows, of=lost.of, days=spans, since=now, reason=reason)

    def _judge(self) -> None:
        undecided = {school_id: self._days(school_id, None) for school_id in self._evidence}
        self.verdicts = judge_run(undecided, self._rules, confirmed=self._confirmed)
        for school_id in self._evidence:
            deleted = self._days(school_id, "deleted")
            if not any(found.fresh for found in deleted.values()):
                continue
            # A person has said that these are deleted, so no bound holds; but a passing answer is still no deletion.
            together = judge({**undecided[school_id], **deleted}, self._rules, is_confirmed=False)
            if together is Verdict.CONFIRM and school_id not in self._confirmed:
                self.verdicts[school_id] = Verdict.CONFIRM
            elif self.verdicts[school_id] is Verdict.NOTHING:
                self.verdicts[school_id] = Verdict.MARK
        self.verdicts |= dict.fromkeys(self._reasons, Verdict.WITHHOLD)

    def _days(self, school_id: str, word: str | None) -> Days:
        days = self._evidence[school_id].days
        if not self._answers.given:
            return days if word is None else {}
        return {day: one for day, one in days.items() if self._answers.word(school_id, day, self._key_id) == word}

    def _ended(self, school_id: str) -> Iterator[str]:
        if school_id in self._reasons:
            return
        yield from (day for day, found in self._days(school_id, "deleted").items() if found.tokens is not None)
        yield from (day for day, found in self._days(school_id, "kept").items() if found.live and not found.unseen)


def mark_all(landing: Landing, missing: MissingRows, stop: threading.Event) -> None:
    """Mark the rows that were decided to be missing, several days at once.

    :raises CleverStoppedError: the stop flag was set. What was not marked is live, and its days are due.
    :raises CleverLandingError: the destination cannot be written.
    """
    side_by_side(lambda one: landing.mark(*one), missing.marks(), most=_MARKING_THREADS, stop=stop)
