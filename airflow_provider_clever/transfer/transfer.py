"""One question to Clever, answered as a list of rows or landed at a destination. Without Airflow.

This is what the operator does, for whoever has no Airflow at hand: a test, a notebook, a command line.
"""

import logging
import platform
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.absence import AbsenceRules, SchoolEvidence, list_in_doubt, unlisted
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import (
    CleverDataError,
    CleverError,
    CleverLandingError,
    CleverNotFoundError,
    CleverSettingsError,
    CleverWithheldError,
)
from airflow_provider_clever.lake import receipts
from airflow_provider_clever.lake.answers import HOW_TO_ANSWER, Answers, Withheld, note, read_answers, to_json
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.receipt_files import write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolState
from airflow_provider_clever.lake.store import Destination, PullContext
from airflow_provider_clever.memory import keep_freed_memory, spare_memory
from airflow_provider_clever.models import District
from airflow_provider_clever.pull.chains import Scope
from airflow_provider_clever.pull.late_answers import LateAnswer
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.pull.run import Pull, PullResult, ScopeResult
from airflow_provider_clever.pull.stopping import stopped
from airflow_provider_clever.syncs import last_sync_text, sync_text
from airflow_provider_clever.transfer.settling import Landing, Settling, mark_all

log = logging.getLogger(__name__)

_NAMED: Final = ("airflow-provider-clever", "pyarrow")
_NAMED_SCHOOLS: Final = 10
"""How many schools a message names; the summary has them all."""
_LIST_HOLDS: Final = timedelta(hours=6)
"""For how long the list of schools that a run has fetched is good for marking; a task that was cleared comes later."""


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
    :param clock: gives the present instant. Default: this machine's.
    """

    def __init__(
        self,
        client: CleverClient,
        question: Question,
        *,
        stop: threading.Event,
        max_concurrency: int = 16,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if max_concurrency < 1:
            raise CleverSettingsError("max_concurrency must be at least 1.")
        self._client = client
        self._question = question
        self._stop = stop
        self._max_concurrency = max_concurrency
        self._started = time.monotonic()
        self._rejected = 0
        self._clock = clock

    def rows(self, *, limit: int) -> Answer:
        """The rows themselves, values as Clever's text.

        :param limit: most rows; the pull ends as soon as there are more.
        :raises CleverSettingsError: there are more rows than the limit.
        :raises CleverError: what no school could escape.
        """
        before = self._client.get_district()
        names = self._school_names()
        pull = self._pull(before, list(names), self._count_rejected)
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
        left_out = unlisted((), names) if self._lists_schools else None
        return Answer(summary, rows, _problem(result, schools, self._rejected, left_out=left_out))

    def land(
        self,
        destination_of: Callable[[str], Destination],
        *,
        idempotency_key: IdempotencyKey,
        today: date,
        write_changes: bool = False,
        gone_schools: Callable[[str], Collection[str]] = _none_known,
        absence: AbsenceRules | None = None,
        listed_at: datetime | None = None,
    ) -> Answer:
        """Land the rows, school by school and day by day, mark what is gone, and leave a receipt.

        :param destination_of: makes the destination of a district from its id.
        :param idempotency_key: of the run; the same for every try of it.
        :param today: today (UTC), for the retention edge.
        :param write_changes: also write what changed. Default False.
        :param gone_schools: tells, of a district's id, the schools that it is known to share no more; asked only if a
            school is refused with 404. Default: none is known, and a school that is refused has failed.
        :param absence: how many rows may be gone before that is doubted. Default: as :class:`AbsenceRules` says.
        :param listed_at: when this run fetched the list of schools that the question's schools are from. Default: it
            has not; then the list is fetched if there is anything to mark.
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
        answers, unreadable = _answers(destination, before.id)
        names: Mapping[str, str] = self._school_names()
        listed = tuple(names) if self._lists_schools else None
        left_out = None if listed is None else unlisted(set(answers.listed) - answers.unshared.keys(), listed)
        context = PullContext(
            today=today,
            sync_before=last_sync_text(before),
            idempotency_key=idempotency_key,
            write_changes=write_changes,
        )
        landing = Landing(destination, context, answers)
        pull = self._pull(before, list(names), landing.set_aside)
        district_after = LateAnswer(self._client.get_district, self._stop)
        result = pull.land(landing.land, when_fetched=district_after.ask)
        if unreadable is not None:
            _leave_open(result, landing, unreadable)
        settling = Settling(
            _ended_whole(landing.evidence, result), absence or AbsenceRules(), answers, idempotency_key.id
        )
        names = self._listed(settling, names, listed_at)
        while settling.to_confirm:  # what came back of some schools may let the run doubt others
            self._walk_again(settling, before, landing, result, absence or AbsenceRules())
            district_after = LateAnswer(self._client.get_district, self._stop)
            district_after.ask()
        mark_all(landing, settling, self._stop)
        _uncover(result, landing, settling)
        now = sync_text(self._clock())
        window = DateRange(self._question.first_day, self._question.last_day)
        unmarked = {(school_id, day) for school_id, day, _ in landing.unmarked}
        settled = settling.settled(window, names, now, unmarked)
        withheld: Mapping[str, Withheld] = {}
        if unreadable is None:
            withheld = note(
                destination.objects, answers, idempotency_key.id, settled, None if left_out is not None else listed
            )
        after = district_after.wait()
        refused = {scope_id for scope_id, scope in result.scopes.items() if _only_not_found(scope)}
        gone = refused.intersection(gone_schools(before.id)) if refused else refused
        schools = {scope_id: _state(scope, is_gone=scope_id in gone) for scope_id, scope in result.scopes.items()}
        schools |= {id_: state for id_, state in settling.states().items() if schools[id_] not in ("failed", "gone")}
        withheld = {
            id_: one for id_, one in {**withheld, **settling.unsettled(now)}.items() if id_ in settling.states()
        }
        totals = receipts.totals(landing.outcomes, landing.later)
        summary = self._summary(before, result, schools) | totals
        summary |= {"sync_after": last_sync_text(after), "quarantined": landing.rejected + landing.conflicts}
        summary["withheld"] = [_told(id_, names, one) for id_, one in withheld.items()]
        summary["receipt"] = write_receipt(
            destination,
            Receipt(
                district_id=before.id,
                idempotency_key=idempotency_key,
                asked=self._asked(),
                file_format=destination.file_format,
                finished_at=now,
                sync_before=last_sync_text(before),
                sync_after=last_sync_text(after),
                settled=last_sync_text(before) == last_sync_text(after),
                schools=landing.school_receipts(
                    result.scopes, schools, names, withheld, is_by_school=self._question.scope is Scope.SCHOOL
                ),
                changes=() if write_changes else None,
                totals={name: value for name, value in summary.items() if isinstance(value, int | float)},
                versions=_versions(),
            ),
        )
        problem = _problem(result, schools, landing.newly_quarantined, summary["withheld"], left_out)
        return Answer(summary, problem=problem or unreadable)

    def _listed(self, settling: Settling, names: Mapping[str, str], listed_at: datetime | None) -> Mapping[str, str]:
        """The names of the schools, as far as this run knows them; nothing is marked of one that is not listed."""
        if names:
            settling.leave_unlisted(names)
            return names
        is_recent = listed_at is not None and self._clock() - listed_at < _LIST_HOLDS
        if settling.has_to_mark and (settling.to_confirm or not is_recent):
            names = {school.id: school.name for school in self._client.iter_schools()}
            settling.leave_unlisted(names)  # an empty list names no school, so nothing is marked of any
        return names

    def _walk_again(
        self, settling: Settling, before: District, landing: Landing, result: PullResult, rules: AbsenceRules
    ) -> None:
        """Ask once more, over fresh connections and after a pause, of the schools of which too much did not come."""
        schools = settling.to_confirm
        log.warning(
            "Much of what had landed did not come back, of %d schools; asking again in %.0f seconds before anything is "
            "concluded: %s",
            len(schools),
            rules.confirm_seconds,
            ", ".join(schools[:10]),
        )
        if self._stop.wait(rules.confirm_seconds):
            raise stopped()
        again = landing.again()
        found = self._pull(before, schools, again.set_aside).land(again.land)
        landing.take_in(again)
        ended = [school_id for school_id, scope in found.scopes.items() if not scope.errors]
        settling.confirm(again.evidence, ended=ended)
        for school_id, scope in found.scopes.items():
            first = result.scopes[school_id]
            first.errors += scope.errors
            first.received = max(first.received, scope.received)
            first.pages += scope.pages
            first.newest_date = max(filter(None, (first.newest_date, scope.newest_date)), default=None)

    def _pull(
        self,
        district: District,
        school_ids: Sequence[str],
        set_aside: Callable[[str, Sequence[RejectedRow]], object],
    ) -> Pull:
        return Pull(
            self._client,
            self._question.chains(school_ids, max_concurrency=self._max_concurrency),
            district_id=district.id,
            set_aside=set_aside,
            stop=self._stop,
            max_concurrency=self._max_concurrency,
        )

    def _school_names(self) -> dict[str, str]:
        """The shared schools by id; nothing is asked if the question names its schools or sections."""
        if not self._lists_schools:
            return {}
        return {school.id: school.name for school in self._client.iter_schools()}

    @property
    def _lists_schools(self) -> bool:
        """Whether this pull is about all schools of the district, and so fetches their list."""
        return not (self._question.school_ids or self._question.section_ids)

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
            "schools_withheld": _in_state(schools, "withheld"),
            "schools_unsettled": _in_state(schools, "unsettled"),
            "unknown_values": dict(result.unknown_values),
            "surrogates_replaced": result.surrogates_replaced,
            "equal_keys": result.equal_keys,
        }


def _ended_whole(evidence: Mapping[str, SchoolEvidence], result: PullResult) -> dict[str, SchoolEvidence]:
    """What is known of the schools that were walked to their end."""
    return {id_: one for id_, one in evidence.items() if id_ in result.scopes and not result.scopes[id_].errors}


def _answers(destination: Destination, district_id: str) -> tuple[Answers, CleverLandingError | None]:
    """What was said of rows that did not come back; if that cannot be read, nothing and why."""
    try:
        return read_answers(destination.objects, district_id), None
    except CleverLandingError as error:
        log.warning("%s. Rows land; none is marked that somebody may have said something of", error)
        return Answers(district_id), error


def _leave_open(result: PullResult, landing: Landing, error: CleverLandingError) -> None:
    """Have the schools fail whose rows did not all come back: what was said of them cannot be read."""
    for school_id, found in landing.evidence.items():
        if any(day.fresh for day in found.days.values()):
            result.scopes[school_id].errors.append(error)


def _uncover(result: PullResult, landing: Landing, settling: Settling) -> None:
    """Take back that days are covered: of schools of which nothing was concluded, or that broke off in doubt; and those
    that the store did not let us mark."""
    for school_id, scope in result.scopes.items():
        found = landing.evidence.get(school_id)
        is_open = bool(scope.errors and found and any(day.fresh for day in found.days.values()))
        if is_open or school_id in settling.states():
            scope.covered = []
    for school_id, day, error in landing.unmarked:
        result.scopes[school_id].errors.append(error)
        result.scopes[school_id].not_landed.add(day)


def _told(school_id: str, names: Mapping[str, str], withheld: Withheld) -> dict[str, Any]:
    """What is withheld of a school as plain JSON."""
    return {"school_id": school_id, "name": names.get(school_id, ""), "words": str(withheld), **to_json(withheld)}


def _only_not_found(scope: ScopeResult) -> bool:
    return bool(scope.errors) and all(isinstance(error, CleverNotFoundError) for error in scope.errors)


def _state(scope: ScopeResult, *, is_gone: bool = False) -> SchoolState:
    if scope.errors:
        return "gone" if is_gone else "failed"
    return "landed" if scope.received else "empty"


def _in_state(schools: Mapping[str, SchoolState], state: SchoolState) -> list[str]:
    return [school_id for school_id, found in schools.items() if found == state]


def _problem(
    result: PullResult,
    schools: Mapping[str, SchoolState],
    quarantined: int,
    withheld: Sequence[Mapping[str, Any]] = (),
    left_out: Sequence[str] | None = None,
) -> CleverError | None:
    """What makes a run a failure: schools that failed, or nothing but schools that are gone; what was withheld; then,
    rows set aside.
    """
    bad = _in_state(schools, "failed")
    if schools and len(_in_state(schools, "gone")) == len(schools):
        bad = list(schools)
    errors = [error for scope_id in bad for error in result.scopes[scope_id].errors]
    if errors:
        for scope_id in bad:
            log.error("%s was not pulled and landed to its end: %s", scope_id, result.scopes[scope_id].errors[0])
        # One that another try may mend goes first, so that there is another try.
        return min(errors, key=lambda error: error.permanent)
    if left_out is not None:
        return CleverWithheldError(list_in_doubt(left_out))
    doubted = [one for one in withheld if schools[one["school_id"]] == "withheld"]
    for one in withheld:
        log.warning("%s: nothing was marked, and these days are due again", _shown(one))
    if doubted:
        return CleverWithheldError(
            f"{len(doubted)} schools are withheld: {'; '.join(map(_shown, doubted[:_NAMED_SCHOOLS]))}"
            f"{'; and more' if len(doubted) > _NAMED_SCHOOLS else ''}. The rows stand as they were, nothing was "
            f"marked, and these days are due again. {HOW_TO_ANSWER}"
        )
    if quarantined:
        return CleverDataError(
            f"{quarantined} rows were set aside because they cannot land; all others have landed. Look at them in the "
            "quarantine folder of the district; the same rows are reported this once only. To go on without failing, "
            "set fail_on_quarantine=False."
        )
    return None


def _shown(withheld: Mapping[str, Any]) -> str:
    school = f"{withheld['name']} ({withheld['school_id']})" if withheld["name"] else withheld["school_id"]
    reason = f" ({withheld['reason']})" if withheld["reason"] else ""
    return f"{school}: {withheld['words']}{reason}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
