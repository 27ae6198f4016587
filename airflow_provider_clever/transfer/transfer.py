"""Answers one question to Clever as a list of rows, or lands the answer at a destination. It needs no Airflow.

The operator uses it, and so can a test, a notebook or a command line.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.attendance.absence import AbsenceRules, unlisted
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import totals
from airflow_provider_clever.lake.store import Destination, PullContext
from airflow_provider_clever.memory import keep_freed_memory, spare_memory
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.syncs import last_sync_text
from airflow_provider_clever.transfer.asking import Asking
from airflow_provider_clever.transfer.landed_days import LandedDays
from airflow_provider_clever.transfer.result import TransferResult, problem_of, state_of, summary_of

log = logging.getLogger(__name__)


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
        self._asking = Asking(client, question, stop, max_concurrency)
        self._started = time.monotonic()
        self._clock = clock

    def rows(self, *, limit: int) -> TransferResult:
        """Give the rows themselves, values as Clever's text.

        :param limit: most rows; the pull ends as soon as there are more.
        :raises CleverSettingsError: there are more rows than the limit.
        :raises CleverError: an error that affects every school.
        """
        asking, rejected = self._asking, 0

        def count_rejected(found: Mapping[str, Sequence[RejectedRow]]) -> None:
            nonlocal rejected
            for scope_id, rows in found.items():
                rejected += len(rows)
                log.warning("%d rows of %s cannot be used", len(rows), scope_id)

        before = asking.client.get_district()
        names = asking.school_names()
        pull = asking.pull(before, list(names), count_rejected)
        rows = pull.rows(limit)
        after = asking.client.get_district()
        schools = {scope_id: state_of(scope) for scope_id, scope in pull.result.scopes.items()}
        summary = summary_of(asking.question, before, pull.result, schools) | totals(()) | self._costs()
        summary |= {"rows": len(rows), "quarantined": rejected, "sync_after": last_sync_text(after), "receipt": None}
        left_out = unlisted((), names) if asking.lists_schools else None
        return TransferResult(summary, rows, problem_of(pull.result, schools, rejected, left_out=left_out, names=names))

    def land(
        self,
        destination_of: Callable[[str], Destination],
        *,
        idempotency_key: IdempotencyKey,
        today: date,
        write_changes: bool = False,
        gone_schools: Callable[[str], Collection[str]] = lambda _: (),
        absence: AbsenceRules | None = None,
        listed_at: datetime | None = None,
        try_number: int = 1,
    ) -> TransferResult:
        """Land the rows, school by school and day by day, mark what is gone, and leave a receipt.

        :param destination_of: makes the destination of a district from its id.
        :param idempotency_key: of the run; the same for every try of it.
        :param today: today (UTC), for the retention edge.
        :param write_changes: also write what changed. Default False.
        :param gone_schools: gives, of a district's id, the schools that it is known to share no more; asked only if a
            school is refused with 404. Default: none is known, and a school that is refused has failed.
        :param absence: how many rows may be gone before that is doubted. Default: as :class:`AbsenceRules` says.
        :param listed_at: when this run fetched the list of schools that the question's schools are from. Default: it
            has not; then the list is fetched if there is anything to mark.
        :param try_number: which try of the run this is, so that what a killed one changed counts as changed. Default 1.
        :raises CleverLandingError: the destination cannot be used; what had landed is intact.
        :raises CleverError: an error that affects every school.
        """
        if self._asking.question.attendance_status is not None:
            raise CleverSettingsError(
                "attendance_status cannot be used with a destination: rows that the filter leaves out could not be "
                "told from rows that are gone. Leave it out, and filter when you read."
            )
        before = self._asking.client.get_district()
        destination = destination_of(before.id)
        spare_memory()
        keep_freed_memory()
        destination.check(self._asking.client.settings.forget_secret)
        context = PullContext(
            today=today,
            sync_before=last_sync_text(before),
            idempotency_key=idempotency_key,
            write_changes=write_changes,
        )
        run = LandedDays(
            self._asking, before, destination, context, absence or AbsenceRules(), clock=self._clock, costs=self._costs
        )
        return run.land(idempotency_key, gone_schools=gone_schools, listed_at=listed_at, try_number=try_number)

    def _costs(self) -> dict[str, float]:
        client = self._asking.client
        held = client.held_back()
        return {
            "requests": client.requests_sent,
            "refused": held.refused,
            "wait_seconds": round(held.seconds, 3),
            "seconds": round(time.monotonic() - self._started, 3),
        }
