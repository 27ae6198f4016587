"""One question to Clever, answered as a list of rows or landed at a destination. Without Airflow.

This is what the operator does, for whoever has no Airflow at hand: a test, a notebook, a command line.
"""

import logging
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.exceptions import (
    CleverDataError,
    CleverError,
    CleverNotFoundError,
    CleverSettingsError,
)
from airflow_provider_clever.landing import day_ranges, receipts
from airflow_provider_clever.landing.day_ranges import DayRange
from airflow_provider_clever.landing.receipt_files import write_receipt
from airflow_provider_clever.landing.receipts import Asked, Receipt, SchoolReceipt, SchoolState
from airflow_provider_clever.landing.store import Destination, PartitionOutcome, PullContext
from airflow_provider_clever.landing.work import Work
from airflow_provider_clever.memory import keep_freed_memory, spare_memory
from airflow_provider_clever.models import District, PulledDay, RejectedRow
from airflow_provider_clever.pull.chains import Scope
from airflow_provider_clever.pull.late_answers import LateAnswer
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.pull.run import Pull, PullResult, ScopeResult
from airflow_provider_clever.syncs import last_sync_text, sync_text

log = logging.getLogger(__name__)

_NAMED: Final = ("airflow-provider-clever", "pyarrow")


def _none_known(_: str) -> Collection[str]:
    return ()


@dataclass(slots=True)
class Answer:
    """What came of a question.

    :param summary: counts and names of schools, as plain JSON values; no student data.
    :param rows: the rows as Clever sent them, if they were not landed.
    :param problem: what makes the run a failure although everything else has been kept; None: nothing.
    """

    summary: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    problem: CleverError | None = None


class Transfer:
    """Answers one question.

    :param client: the API client of the district.
    :param question: what to ask.
    :param stop: set it, from any thread, to end the transfer at once; give the client the same.
    :param max_concurrency: requests side by side; default 16.
    """

    def __init__(
        self, client: CleverClient, question: Question, *, stop: threading.Event, max_concurrency: int = 16
    ) -> None:
        if max_concurrency < 1:
            raise CleverSettingsError("max_concurrency must be at least 1.")
        self._client = client
        self._question = question
        self._stop = stop
        self._max_concurrency = max_concurrency
        self._started = time.monotonic()
        self._rejected = 0

    def rows(self, *, limit: int) -> Answer:
        """The rows themselves, values as Clever's text.

        :param limit: most rows; the pull ends as soon as there are more.
        :raises CleverSettingsError: there are more rows than the limit.
        :raises CleverError: what no school could escape.
        """
        before = self._client.get_district()
        names = self._school_names()
        pull = self._pull(before, names, self._count_rejected)
        rows = pull.rows(limit)
        result = pull.result
        after = self._client.get_district()
        schools = {scope_id: _state(scope) for scope_id, scope in result.scopes.items()}
        summary = self._summary(before, result, schools) | receipts.totals(())
        summary |= {
            "rows": len(rows),
            "quarantined": self._rejected,
            "sync_after": last_sync_text(after),
            "receipt": None,
        }
        return Answer(summary, rows, _problem(result, schools, self._rejected))

    def land(
        self,
        destination_of: Callable[[str], Destination],
        *,
        work: Work,
        today: date,
        write_changes: bool = False,
        gone_schools: Callable[[str], Collection[str]] = _none_known,
    ) -> Answer:
        """Land the rows, school by school and day by day, and leave a receipt.

        :param destination_of: makes the destination of a district from its id.
        :param work: which work this is a try of.
        :param today: today (UTC), for the retention edge.
        :param write_changes: also write what changed. Default False.
        :param gone_schools: tells, of a district's id, the schools that it is known to share no more; asked only if a
            school is refused with 404. Default: none is known, and a school that is refused has failed.
        :raises CleverLandingError: the destination cannot be used; what had landed is intact.
        :raises CleverError: what no school could escape.
        """
        if self._question.attendance_status is not None:
            raise CleverSettingsError(
                "attendance_status cannot be used with a destination: rows that the filter leaves out could not be "
                "told from rows that are gone. Leave it out, and filter when you read."
            )
        before = self._client.get_district()
        destination = destination_of(before.id)
        spare_memory()
        keep_freed_memory()
        destination.check()
        names = self._school_names()
        context = PullContext(today=today, sync_before=last_sync_text(before), work=work, write_changes=write_changes)
        landing = _Landing(destination, context)
        pull = self._pull(before, names, landing.set_aside)
        district_after = LateAnswer(self._client.get_district, self._stop)
        result = pull.land(landing.land, when_fetched=district_after.ask)
        after = district_after.wait()
        refused = {scope_id for scope_id, scope in result.scopes.items() if _only_not_found(scope)}
        gone = refused.intersection(gone_schools(before.id)) if refused else refused
        schools = {scope_id: _state(scope, is_gone=scope_id in gone) for scope_id, scope in result.scopes.items()}
        totals = receipts.totals(landing.outcomes)
        summary = self._summary(before, result, schools) | totals
        summary |= {"sync_after": last_sync_text(after), "quarantined": landing.rejected + landing.conflicts}
        summary["receipt"] = write_receipt(
            destination,
            Receipt(
                district_id=before.id,
                work=work,
                asked=self._asked(),
                file_format=destination.file_format,
                finished_at=sync_text(datetime.now(UTC)),
                sync_before=last_sync_text(before),
                sync_after=last_sync_text(after),
                settled=last_sync_text(before) == last_sync_text(after),
                schools=landing.school_receipts(
                    result, schools, names, is_by_school=self._question.scope is Scope.SCHOOL
                ),
                changes=() if write_changes else None,
                totals={name: value for name, value in summary.items() if isinstance(value, int | float)},
                versions=_versions(),
            ),
        )
        return Answer(summary, problem=_problem(result, schools, landing.newly_quarantined))

    def _pull(
        self, district: District, names: Mapping[str, str], set_aside: Callable[[str, Sequence[RejectedRow]], object]
    ) -> Pull:
        return Pull(
            self._client,
            self._question.chains(list(names), max_concurrency=self._max_concurrency),
            district_id=district.id,
            set_aside=set_aside,
            stop=self._stop,
            max_concurrency=self._max_concurrency,
        )

    def _school_names(self) -> dict[str, str]:
        """The shared schools by id; nothing is asked if the question names its schools or sections."""
        if self._question.school_ids or self._question.section_ids:
            return {}
        return {school.id: school.name for school in self._client.iter_schools()}

    def _count_rejected(self, scope_id: str, rejected: Sequence[RejectedRow]) -> None:
        self._rejected += len(rejected)
        log.warning("%d rows of %s cannot be used", len(rejected), scope_id)

    def _asked(self) -> Asked:
        question = self._question
        return Asked(
            date_range_start=question.first_day.isoformat(),
            date_range_end=question.last_day.isoformat(),
            school_ids=question.school_ids,
            section_ids=question.section_ids,
            whole=question.scope is Scope.SCHOOL,
        )

    def _summary(self, before: District, result: PullResult, schools: Mapping[str, SchoolState]) -> dict[str, Any]:
        newest = [scope.newest_date for scope in result.scopes.values() if scope.newest_date]
        return {
            "district_id": before.id,
            "date_range_start": self._question.first_day.isoformat(),
            "date_range_end": self._question.last_day.isoformat(),
            "received": result.received,
            "requests": self._client.requests_sent,
            "seconds": round(time.monotonic() - self._started, 3),
            "sync_before": last_sync_text(before),
            "newest_attendance_date": max(newest, default=None),
            "schools": len(schools),
            "schools_failed": _in_state(schools, "failed"),
            "schools_gone": _in_state(schools, "gone"),
            "schools_empty": _in_state(schools, "empty"),
            "unknown_values": dict(result.unknown_values),
            "surrogates_replaced": result.surrogates_replaced,
            "equal_keys": result.equal_keys,
        }


class _Landing:
    """Lands days from several threads, and remembers what came of them."""

    def __init__(self, destination: Destination, context: PullContext) -> None:
        self._destination = destination
        self._context = context
        self._lock = threading.Lock()
        self.outcomes: list[PartitionOutcome] = []
        self.rejected = 0
        self.conflicts = 0
        self.newly_quarantined = 0

    def land(self, day: PulledDay) -> None:
        outcome = self._destination.land(day, context=self._context)
        with self._lock:
            self.outcomes.append(outcome)
            self.conflicts += len(outcome.rejected)
        new = self._quarantine(outcome.rejected)
        with self._lock:
            self.newly_quarantined += new

    def set_aside(self, scope_id: str, rejected: Sequence[RejectedRow]) -> None:
        with self._lock:
            self.rejected += len(rejected)
        new = self._quarantine(rejected)
        with self._lock:
            self.newly_quarantined += new
        log.warning("%d rows of %s were quarantined, %d of them for the first time", len(rejected), scope_id, new)

    def school_receipts(
        self, result: PullResult, states: Mapping[str, SchoolState], names: Mapping[str, str], *, is_by_school: bool
    ) -> dict[str, SchoolReceipt]:
        by_school: dict[str, list[PartitionOutcome]] = defaultdict(list)
        for outcome in self.outcomes:
            by_school[outcome.school_id].append(outcome)
        self.outcomes = []  # a long pull has thousands; from here on each school's go as its receipt is made
        receipts_made = {}
        for school_id in sorted({*by_school, *(states if is_by_school else ())}):
            scope = result.scopes.get(school_id, ScopeResult(school_id))
            receipts_made[school_id] = receipts.school_receipt(
                by_school.pop(school_id, ()),
                state=states.get(school_id, "landed"),
                name=names.get(school_id, ""),
                covered=day_ranges.without([DayRange(*days) for days in scope.covered], scope.not_landed),
                error=str(scope.errors[0]) if scope.errors else None,
            )
        return receipts_made

    def _quarantine(self, rejected: Sequence[RejectedRow]) -> int:
        return self._destination.quarantine(rejected, today=self._context.today) if rejected else 0


def _only_not_found(scope: ScopeResult) -> bool:
    return bool(scope.errors) and all(isinstance(error, CleverNotFoundError) for error in scope.errors)


def _state(scope: ScopeResult, *, is_gone: bool = False) -> SchoolState:
    if scope.errors:
        return "gone" if is_gone else "failed"
    return "landed" if scope.received else "empty"


def _in_state(schools: Mapping[str, SchoolState], state: SchoolState) -> list[str]:
    return [school_id for school_id, found in schools.items() if found == state]


def _problem(result: PullResult, schools: Mapping[str, SchoolState], quarantined: int) -> CleverError | None:
    """What makes a run a failure: schools that failed, or nothing but schools that are gone; then, rows set aside."""
    bad = _in_state(schools, "failed")
    if schools and len(_in_state(schools, "gone")) == len(schools):
        bad = list(schools)
    errors = [error for scope_id in bad for error in result.scopes[scope_id].errors]
    if errors:
        for scope_id in bad:
            log.error("%s was not pulled and landed to its end: %s", scope_id, result.scopes[scope_id].errors[0])
        # One that another try may mend goes first, so that there is another try.
        return min(errors, key=lambda error: error.permanent)
    if quarantined:
        return CleverDataError(
            f"{quarantined} rows were set aside because they cannot land; all others have landed. Look at them in the "
            "quarantine folder of the district; the same rows are reported this once only. To go on without failing, "
            "set fail_on_quarantine=False."
        )
    return None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
