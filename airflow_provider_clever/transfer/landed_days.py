"""Answers one question as landed days: lands, marks missing rows, records what is withheld, and leaves a receipt."""

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from airflow_provider_clever.attendance.absence import AbsenceRules, SchoolEvidence, unlisted
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverLandingError, CleverNotFoundError
from airflow_provider_clever.forget.cleaning import forget_since
from airflow_provider_clever.lake.answers import Answers, Withheld, read_answers
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import totals
from airflow_provider_clever.lake.pull_findings import note_findings
from airflow_provider_clever.lake.receipt_files import write_receipt
from airflow_provider_clever.lake.store import Destination, PullContext
from airflow_provider_clever.models import District
from airflow_provider_clever.pull.late_answers import LateAnswer
from airflow_provider_clever.pull.results import PullResult, ScopeResult
from airflow_provider_clever.pull.stopping import stopped
from airflow_provider_clever.syncs import last_sync_text, moment_text
from airflow_provider_clever.transfer.asking import Asking
from airflow_provider_clever.transfer.landing import Landing
from airflow_provider_clever.transfer.missing_rows import MissingRows, mark_all
from airflow_provider_clever.transfer.result import (
    TransferResult,
    changes_of,
    problem_of,
    state_of,
    summary_of,
    withheld_json,
)
from airflow_provider_clever.transfer.run_receipt import run_receipt, school_receipts

log = logging.getLogger(__name__)

_LIST_HOLDS: Final = timedelta(hours=6)
"""How long a run's list of schools can be used for marking; a task that was cleared may run much later."""


class LandedDays:
    """Answers one question as landed days.

    :param before: the district before the first page was requested.
    :param destination: where to land; it has been checked.
    :param context: what the pull knows.
    :param rules: how many rows may be gone before that is doubted.
    :param clock: gives the present instant.
    :param costs: gives the requests and seconds that the run has taken so far.
    """

    def __init__(
        self,
        asking: Asking,
        before: District,
        destination: Destination,
        context: PullContext,
        rules: AbsenceRules,
        *,
        clock: Callable[[], datetime],
        costs: Callable[[], dict[str, float]],
    ) -> None:
        self._asking = asking
        self._before = before
        self._destination = destination
        self._context = context
        self._rules = rules
        self._clock = clock
        self._costs = costs
        self._answers, self._unreadable = _answers(destination, before.id)
        self._landing = Landing(destination, context, self._answers)
        self._window = DateRange(asking.question.first_day, asking.question.last_day)

    def land(
        self,
        idempotency_key: IdempotencyKey,
        *,
        gone_schools: Callable[[str], Collection[str]],
        listed_at: datetime | None,
        try_number: int,
    ) -> TransferResult:
        """Land the days (the parameters are those of ``Transfer.land``)."""
        asking, landing, answers = self._asking, self._landing, self._answers
        names: Mapping[str, str] = asking.school_names()
        listed = tuple(names) if asking.lists_schools else None
        left_out = None if listed is None else unlisted(set(answers.listed) - answers.unshared.keys(), listed)
        question = asking.question
        school_ids = None if question.section_ids else question.school_ids or names.keys()
        self._destination.known.look_up(self._window, school_ids)
        district_after = LateAnswer(asking.client.get_district, asking.stop)
        result = asking.pull(self._before, list(names), landing.set_aside).land(
            landing.land, when_fetched=district_after.ask
        )
        if self._unreadable is not None:
            _leave_open(result, landing, self._unreadable)
        missing = MissingRows(_ended_whole(landing.evidence, result), self._rules, answers, idempotency_key.id)
        names = self._listed(missing, names, listed_at)
        while missing.to_confirm:  # rows that came back for some schools may make others doubtful
            self._walk_again(missing, result)
            district_after = LateAnswer(asking.client.get_district, asking.stop)
            district_after.ask()
        mark_all(landing, missing, asking.stop)
        self._destination.known.keep()
        changed = self._destination.known.changed()
        _uncover(result, landing, missing, changed)
        now = moment_text(self._clock())
        landing.later += forget_since(
            self._destination,
            (*landing.outcomes, *landing.later),
            idempotency_key,
            forget_secret=asking.client.settings.forget_secret,
            write_changes=self._context.write_changes,
        )
        believed = None if left_out is not None else listed
        withheld = self._note(idempotency_key, missing, names, now, believed)
        after = district_after.wait()
        refused = {scope_id for scope_id, scope in result.scopes.items() if _only_not_found(scope)}
        gone = refused.intersection(gone_schools(self._before.id)) if refused else refused
        schools = {scope_id: state_of(scope, is_gone=scope_id in gone) for scope_id, scope in result.scopes.items()}
        schools |= {id_: state for id_, state in missing.states().items() if schools[id_] not in ("failed", "gone")}
        summary = summary_of(asking.question, self._before, result, schools)
        summary |= totals(landing.outcomes, landing.later) | self._costs()
        summary |= {"sync_after": last_sync_text(after), "quarantined": landing.rejected + landing.conflicts}
        summary["forgotten"] = self._destination.forgotten.count
        summary["withheld"] = [withheld_json(id_, names, one) for id_, one in withheld.items()]
        receipt = run_receipt(
            asking.question,
            idempotency_key,
            syncs=(last_sync_text(self._before), last_sync_text(after)),
            file_format=self._destination.file_format,
            finished_at=now,
            schools=school_receipts(asking.question, landing.take_outcomes(changed), result, schools, names, withheld),
            summary=summary,
            has_changes=self._context.write_changes,
            try_number=try_number,
            changed=changed,
        )
        summary |= changes_of(write_receipt(self._destination.objects, receipt))
        problem = problem_of(result, schools, landing.newly_quarantined, summary["withheld"], left_out, names)
        return TransferResult(summary, problem=problem or self._unreadable)

    def _listed(self, missing: MissingRows, names: Mapping[str, str], listed_at: datetime | None) -> Mapping[str, str]:
        """Give the names of the listed schools; rows of a school that is not listed are not marked."""
        if names:
            missing.leave_unlisted(names)
            return names
        is_recent = listed_at is not None and self._clock() - listed_at < _LIST_HOLDS
        if missing.has_to_mark and (missing.to_confirm or not is_recent):
            names = self._asking.list_schools()
            missing.leave_unlisted(names)  # an empty list names no school, so no rows are marked
        return names

    def _walk_again(self, missing: MissingRows, result: PullResult) -> None:
        """Walk the schools with too many missing rows again, after a pause and over new connections."""
        schools, seconds = missing.to_confirm, self._rules.confirm_seconds
        log.warning(
            "Much of what had landed did not come back, of %d schools; asking again in %.0f seconds before anything is "
            "concluded: %s",
            len(schools),
            seconds,
            ", ".join(schools[:10]),
        )
        if self._asking.stop.wait(seconds):
            raise stopped()
        again = self._landing.again()
        found = self._asking.pull(self._before, schools, again.set_aside).land(again.land)
        self._landing.take_in(again)
        ended = [school_id for school_id, scope in found.scopes.items() if not scope.errors]
        missing.confirm(again.evidence, ended=ended)
        for school_id, scope in found.scopes.items():
            first = result.scopes[school_id]
            first.errors += scope.errors
            first.received = max(first.received, scope.received)
            first.pages += scope.pages
            first.newest_date = max(filter(None, (first.newest_date, scope.newest_date)), default=None)

    def _note(
        self,
        idempotency_key: IdempotencyKey,
        missing: MissingRows,
        names: Mapping[str, str],
        now: str,
        listed: Collection[str] | None,
    ) -> dict[str, Withheld]:
        """Record what is withheld and what has been answered, and give what is withheld."""
        unmarked = {(school_id, day) for school_id, day, _ in self._landing.unmarked}
        outcomes = missing.outcomes(self._window, names, now, unmarked)
        withheld: dict[str, Withheld] = {}
        if self._unreadable is None:
            withheld = note_findings(self._destination.objects, self._answers, idempotency_key.id, outcomes, listed)
        states = missing.states()
        return {id_: one for id_, one in {**withheld, **missing.unsettled(now)}.items() if id_ in states}


def _ended_whole(evidence: Mapping[str, SchoolEvidence], result: PullResult) -> dict[str, SchoolEvidence]:
    """Give the evidence about schools that were walked to their end."""
    return {id_: one for id_, one in evidence.items() if id_ in result.scopes and not result.scopes[id_].errors}


def _answers(destination: Destination, district_id: str) -> tuple[Answers, CleverLandingError | None]:
    """Read the answers about rows that did not come back; if that fails, give none, and the error."""
    try:
        return read_answers(destination.objects, district_id), None
    except CleverLandingError as error:
        log.warning("%s. Rows land; none is marked that somebody may have said something of", error)
        return Answers(district_id), error


def _leave_open(result: PullResult, landing: Landing, error: CleverLandingError) -> None:
    """Let the schools fail whose rows did not all come back, because the answers about them cannot be read."""
    for school_id, found in landing.evidence.items():
        if any(day.fresh for day in found.days.values()):
            result.scopes[school_id].errors.append(error)


def _uncover(result: PullResult, landing: Landing, missing: MissingRows, changed: Collection[tuple[str, str]]) -> None:
    """Take back that days are covered: of schools of which nothing was concluded, or that broke off in doubt; those
    that the store did not let us mark; and those that stood as they were pulled until another writer changed them."""
    for school_id, scope in result.scopes.items():
        found = landing.evidence.get(school_id)
        is_open = bool(scope.errors and found and any(day.fresh for day in found.days.values()))
        if is_open or school_id in missing.states():
            scope.covered = []
    for school_id, day, error in landing.unmarked:
        result.scopes[school_id].errors.append(error)
        result.scopes[school_id].not_landed.add(day)
    for school_id, day in sorted(changed):
        log.warning("Another writer changed the day %s of school %s meanwhile, so it is due again", day, school_id)
        if school_id in result.scopes:  # a section covers nothing
            result.scopes[school_id].not_landed.add(day)


def _only_not_found(scope: ScopeResult) -> bool:
    return bool(scope.errors) and all(isinstance(error, CleverNotFoundError) for error in scope.errors)
