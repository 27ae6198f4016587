"""What comes after a pull's last page: which rows are gone, which are doubted, and what each school's receipt says.

Days have landed by then, without marks (lake/store.py). Here it is judged over each school's whole window what the
rows mean that did not come back (attendance/absence.py); what is clear is marked, what is doubtful is walked again
first.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
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
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.dates import DateRange, date_ranges, subtracted
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import receipts
from airflow_provider_clever.lake.answers import Answers, Settled, Withheld
from airflow_provider_clever.lake.receipts import SchoolReceipt, SchoolState
from airflow_provider_clever.lake.store import Destination, PartitionOutcome, PullContext
from airflow_provider_clever.pull.run import REFUSALS_IN_A_ROW, ScopeResult
from airflow_provider_clever.pull.side_by_side import side_by_side

log = logging.getLogger(__name__)

_MARKING_THREADS: Final = 8
_UNLISTED: Final = "Clever's list of schools does not name it"
_UNCONFIRMED: Final = "the second walk did not end"


class Landing:
    """Lands days from several threads, and remembers what came of them.

    :param destination: where.
    :param context: what the pull knows.
    :param answers: what was said about rows that did not come back.
    """

    def __init__(self, destination: Destination, context: PullContext, answers: Answers) -> None:
        self._destination = destination
        self._context = context
        self._answers = answers
        self._lock = threading.Lock()
        self.outcomes: list[PartitionOutcome] = []
        self.later: list[PartitionOutcome] = []
        self.unmarked: list[tuple[str, str, CleverLandingError]] = []
        self.evidence: dict[str, SchoolEvidence] = {}
        self.rejected = 0
        self.conflicts = 0
        self.newly_quarantined = 0

    def again(self) -> "Landing":
        """For a second walk: it counts in the same place, and gathers evidence of its own."""
        return Landing(self._destination, self._context, self._answers)

    def take_in(self, again: "Landing") -> None:
        """Count what a second walk has landed: only rows that the first one had not brought count once more."""
        received: Counter[str] = Counter()
        for outcome in self.outcomes:
            received[outcome.path] += outcome.received
        self.later += [
            replace(outcome, received=max(0, outcome.received - received[outcome.path])) for outcome in again.outcomes
        ]
        self.newly_quarantined += again.newly_quarantined

    def land(self, day: PulledDay) -> None:
        """Land one day."""
        outcome = self._destination.land(day, context=self._context)
        with self._lock:
            found = self.evidence.get(day.school_id)
            if found is None:
                keeps_all = self._answers.has_word(day.school_id, "deleted")
                found = self.evidence[day.school_id] = SchoolEvidence(keeps_all=keeps_all)
            found.add(day.attendance_date, outcome.evidence)
            self.outcomes.append(replace(outcome, evidence=None))
            self.conflicts += len(outcome.rejected)
        new = self._quarantine(outcome.rejected)  # after the rest: what has landed is counted even if this fails
        with self._lock:
            self.newly_quarantined += new

    def mark(self, school_id: str, day: str, found: DayEvidence) -> None:
        """Mark one day's rows. A day that cannot be marked spoils only itself.

        :raises CleverLandingError: the destination has refused several of them.
        """
        try:
            outcome = self._destination.mark(school_id, day, found, context=self._context)
        except CleverLandingError as error:
            log.error("The day %s of school %s was not marked: %s", day, school_id, error)  # noqa: TRY400 - it says all
            with self._lock:
                self.unmarked.append((school_id, day, error))
            if len(self.unmarked) >= REFUSALS_IN_A_ROW:
                raise
            return
        with self._lock:
            self.later.append(outcome)

    def set_aside(self, scope_id: str, rejected: Sequence[RejectedRow]) -> None:
        """Quarantine rows that cannot land."""
        with self._lock:
            self.rejected += len(rejected)
        new = self._quarantine(rejected)
        with self._lock:
            self.newly_quarantined += new
        log.warning("%d rows of %s were quarantined, %d of them for the first time", len(rejected), scope_id, new)

    def school_receipts(
        self,
        scopes: Mapping[str, ScopeResult],
        states: Mapping[str, SchoolState],
        names: Mapping[str, str],
        withheld: Mapping[str, Withheld],
        *,
        is_by_school: bool,
    ) -> dict[str, SchoolReceipt]:
        """What the receipt says of each school."""
        by_school: dict[str, list[PartitionOutcome]] = defaultdict(list)
        for outcome in (*self.outcomes, *self.later):
            by_school[outcome.school_id].append(outcome)
        self.outcomes, self.later = (
            [],
            [],
        )  # a long pull has thousands; from here on each school's go as its receipt is made
        receipts_made = {}
        for school_id in sorted({*by_school, *(states if is_by_school else ())}):
            scope = scopes.get(school_id, ScopeResult(school_id))
            receipts_made[school_id] = receipts.school_receipt(
                by_school.pop(school_id, ()),
                state=states.get(school_id, "landed"),
                name=names.get(school_id, ""),
                covered=subtracted(scope.covered, date_ranges(map(date.fromisoformat, scope.not_landed))),
                error=str(scope.errors[0]) if scope.errors else None,
                withheld=withheld.get(school_id),
            )
        return receipts_made

    def _quarantine(self, rejected: Sequence[RejectedRow]) -> int:
        return self._destination.quarantine(rejected, today=self._context.today) if rejected else 0


class Settling:
    """What the rows of each school mean that did not come back.

    :param evidence: what a first walk says, of the schools that were walked to their end.
    :param rules: how much may be gone before it is doubted.
    :param answers: what a person has said of days of these schools.
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
        """Whether rows of any school did not come back that are not marked yet."""
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
        """Take in what a second walk says.

        :param again: what it says, by school.
        :param ended: the schools that it has walked to their end.
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
        """School, day and rows of everything that is to be marked."""
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

    def settled(
        self,
        windows: DateRange,
        names: Mapping[str, str],
        now: str,
        unmarked: Collection[tuple[str, str]] = (),
    ) -> dict[str, Settled]:
        """What to write down about each school (lake/answers.py).

        :param windows: the days that were walked.
        :param now: the present instant, UTC.
        :param unmarked: schools and days that the destination did not let us mark; an answer about them still holds.
        """
        states = self.states()
        return {
            school_id: Settled(
                name=names.get(school_id, ""),
                window=windows,
                withheld=self._withheld(school_id, now) if states.get(school_id) == "withheld" else None,
                ended=tuple(day for day in self._ended(school_id) if (school_id, day) not in unmarked),
            )
            for school_id in self.verdicts
            if self._reasons.get(school_id) != _UNCONFIRMED
        }

    def unsettled(self, now: str) -> dict[str, Withheld]:
        """What too little is known of to judge."""
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
            # Somebody has said that these are deleted, so no bound holds; but a passing answer is still no deletion.
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


def mark_all(landing: Landing, settling: Settling, stop: threading.Event) -> None:
    """Mark what is clear, several days at once.

    :raises CleverStoppedError: the stop flag was set. What was not marked is live, and its days are due.
    :raises CleverLandingError: the destination does not take it.
    """
    side_by_side(lambda one: landing.mark(*one), settling.marks(), most=_MARKING_THREADS, stop=stop)
