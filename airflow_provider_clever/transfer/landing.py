"""Lands the days of a pull from several threads, and collects the outcomes."""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from airflow_provider_clever.attendance.absence import DayEvidence, SchoolEvidence
from airflow_provider_clever.attendance.rows import PulledDay, RejectedRow
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.answers import Answers
from airflow_provider_clever.lake.store import Destination, PartitionOutcome, PullContext
from airflow_provider_clever.pull.run import REFUSALS_IN_A_ROW

log = logging.getLogger(__name__)


class Landing:
    """Lands days from several threads, and keeps the outcomes.

    :param destination: where to land.
    :param context: what the pull knows.
    :param answers: the answers about rows that did not come back.
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
        """Make the landing of a second walk, with the same counts and evidence of its own."""
        return Landing(self._destination, self._context, self._answers)

    def take_in(self, again: "Landing") -> None:
        """Add what a second walk has landed; only rows that the first one did not bring are counted."""
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
        """Mark one day's rows. A day that cannot be marked affects no other.

        :raises CleverLandingError: the destination has refused several of them.
        """
        try:
            outcome = self._destination.mark(school_id, day, found, context=self._context)
        except CleverLandingError as error:
            log.error("The day %s of school %s was not marked: %s", day, school_id, error)  # noqa: TRY400 - the message is enough
            with self._lock:
                self.unmarked.append((school_id, day, error))
            if len(self.unmarked) >= REFUSALS_IN_A_ROW:
                raise
            return
        with self._lock:
            self.later.append(outcome)

    def set_aside(self, rejected: Mapping[str, Sequence[RejectedRow]]) -> None:
        """Quarantine rows that cannot land, by school or section, without those of forgotten students.

        :raises CleverLandingError: the destination does not take them all.
        """
        admitted = {id_: self._destination.forgotten.admitted_rejects(found) for id_, found in rejected.items()}
        rows = [row for found in admitted.values() for row in found]
        if not rows:
            return
        new = self._quarantine(rows)
        with self._lock:
            self.rejected += len(rows)
            self.newly_quarantined += new
        schools = ", ".join(f"{len(found)} of {scope_id}" for scope_id, found in admitted.items() if found)
        log.warning("%d rows were quarantined, %d of them for the first time: %s", len(rows), new, schools)

    def take_outcomes(self, without: Collection[tuple[str, str]] = ()) -> dict[str, list[PartitionOutcome]]:
        """Hand over the outcomes of each school's partitions, in order, and drop them here.

        :param without: schools and days to leave out. Default: none.
        """
        by_school: dict[str, list[PartitionOutcome]] = defaultdict(list)
        for outcome in (*self.outcomes, *self.later):
            if (outcome.school_id, outcome.attendance_date) not in without:
                by_school[outcome.school_id].append(outcome)
        self.outcomes, self.later = [], []
        return by_school

    def _quarantine(self, rejected: Sequence[RejectedRow]) -> int:
        return self._destination.quarantine(rejected, today=self._context.today) if rejected else 0
