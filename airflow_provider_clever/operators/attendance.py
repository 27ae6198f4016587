"""The operator that pulls attendance."""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.sdk import Context

from airflow_provider_clever.assets import asset_if_known, landed_alias, landed_asset
from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import (
    CleverDataError,
    CleverError,
    CleverSettingsError,
    CleverWithheldError,
)
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.destinations import OpenDestination
from airflow_provider_clever.hooks.instance_names import name_instance, whose
from airflow_provider_clever.operators.announcing import announce_landed, declare, leave_asked
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.operators.plan import CleverAttendancePlanOperator
from airflow_provider_clever.operators.pull_log import (
    NOT_WATCHED,
    readable_coverage,
    summary_line,
    warn_of_days_at_risk,
)
from airflow_provider_clever.operators.run_answers import take_answer
from airflow_provider_clever.operators.run_facts import facts_from_context, idempotency_key
from airflow_provider_clever.plugins.links import LANDING_LINKS
from airflow_provider_clever.syncs import sync_moment
from airflow_provider_clever.windows import run_window

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
    from airflow_provider_clever.lake.store import Destination
    from airflow_provider_clever.pull.question import Question
    from airflow_provider_clever.transfer.result import TransferResult
    from airflow_provider_clever.transfer.transfer import Transfer

LONGEST_SPAN_DAYS: Final = 3660
"""Twenty times what Clever keeps; a longer span is a mistake, and calendars end."""
MOST_CONCURRENCY: Final = 256
"""Each concurrent request has a thread and a connection; a dozen reach the rate limit."""


class CleverAttendanceOperator(DistrictOperator):
    """Pulls attendance of a date range, per school, into XCom or object storage.

    Without a destination the task returns the rows as a list of dicts, values as Clever's text. With one, each school
    and day becomes one file, ``<destination>/attendance/district=<id>/date=YYYY-MM-DD/school-<id>.parquet``, that is
    only ever replaced as a whole: rows are added, replaced by newer versions or marked as missing, never removed. The
    task then returns a summary of counts. The summary is always under the XCom key ``summary``.

    It pulls its own window and nothing else: it does not ask again for days that a failed run left out or for which
    there was no run, and does not fetch the months before its first run. A DAG of
    :func:`~airflow_provider_clever.dags.attendance_dags` does; use this operator by itself if you know which days you
    want. If the destination has a coverage ledger with days that are about to be lost, the log warns of them.

    :param date_range_start: first attendance date, inclusive, ``YYYY-MM-DD`` or a date. Default: the run's own window
        (params, partition key, asset event, data interval, logical date, else ``run_after``; in the DAG's time zone).
    :param date_range_end: last attendance date, inclusive. Give both dates or neither.
    :param lookback_days: days before the run's own window that are pulled again, because districts upload late and
        correct what they uploaded. Default 14. Not used with explicit dates or in backfill runs.
    :param school_ids: one school's Clever id, or several; default every school that the district shares.
    :param section_ids: one section's id, or several, instead of schools.
    :param attendance_status: ``present``, ``absent`` or ``tardy``; default all. Only without a destination: a filtered
        pull cannot tell a row that is gone from one that was filtered out.
    :param district_id: whose attendance. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param destination: where files go, such as ``s3://aws_default@bucket/prefix`` or ``file:///data/clever``. Default
        None: rows are returned through XCom, and so lie in Airflow's metadata database.
    :param file_format: ``parquet`` (default) or ``jsonl``.
    :param max_xcom_records: most rows that may be returned through XCom; default 10,000. The pull ends with an error
        as soon as there are more.
    :param max_concurrency: requests side by side; default 16. Clever's rate limit is kept whatever this says.
    :param expected_requests: how many requests the pull is expected to take, as the plan says it: so far are
        a few schools cut into ranges that are asked side by side. Default: unknown; their first pages tell.
    :param page_limit: rows of a page, 1 to 1,000. Default 1,000; halved while a gateway gives up on it.
    :param max_span_days: days that one question to Clever may have; a longer one is asked in parts. Default: no limit;
        halved while Clever refuses the range.
    :param fail_on_quarantine: fail, after the good rows have landed, when rows were set aside that had not been before.
        Default True.
    :param fail_on_withheld: fail, after everything has landed, when rows that had landed did not come back and nothing
        can be concluded from it. Default True. The factory passes False: its recording task reports it, once.
    :param most_missing_percent: the share of a school's landed rows in the window, in percent, that may be absent from
        a pull and count as deleted. If more are absent, the school is walked again; if they still are, nothing is
        marked, and the school is withheld. Default 10.
    :param most_missing_percent_of_run: the same for all schools of the task together, in percent. Default 5.
    :param most_missing_students: rows of this many students may be absent, whatever share they are. Default 2.
    :param confirm_seconds: seconds to wait before a doubtful school is walked again. Default 10.
    :param listed_at: when this run fetched the list of schools that ``school_ids`` are from, ISO-8601; the
        factory takes it from the plan. Default: unknown; the list is then fetched if there is anything to mark.
    :param write_changes: also write the correction feed: each changed row, before and after. Default False.
    :param announce: with a destination, announce the days that have changed as an event of
        :func:`~airflow_provider_clever.assets.landed_asset`. Default True. Mapped pulls better have False, as in the
        factory, and a :class:`CleverAttendanceAnnounceOperator` behind them: one event for all, and no two at once.
    :param single_writer: promise that no other task writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    """

    template_fields: Sequence[str] = (
        "date_range_start",
        "date_range_end",
        "school_ids",
        "section_ids",
        "attendance_status",
        "district_id",
        "clever_conn_id",
        "destination",
        "file_format",
        "listed_at",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"school_ids": "json", "section_ids": "json"}
    operator_extra_links = LANDING_LINKS
    lineage_outputs = ("landed",)
    metrics_of = "pull"
    ui_color = "#d7e3fc"
    argument_rules = arguments.WHOSE | {
        # run_window() checks the dates, and opening the destination checks that.
        "school_ids": arguments.ids,
        "section_ids": arguments.ids,
        "attendance_status": arguments.optional_text,
        "file_format": arguments.text,
        "max_xcom_records": arguments.whole_number(1),
        "max_concurrency": arguments.whole_number(1, MOST_CONCURRENCY),
        "expected_requests": arguments.optional(arguments.whole_number(1)),
        "page_limit": arguments.whole_number(1, 1000),
        "max_span_days": arguments.optional(arguments.whole_number(1, LONGEST_SPAN_DAYS)),
        "fail_on_quarantine": arguments.flag,
        "fail_on_withheld": arguments.flag,
        "most_missing_percent": arguments.number(0, 100),
        "most_missing_percent_of_run": arguments.number(0, 100),
        "most_missing_students": arguments.whole_number(0),
        "confirm_seconds": arguments.number(0, 3600),
        "write_changes": arguments.flag,
        "announce": arguments.flag,
        "single_writer": arguments.flag,
    }

    _stop: threading.Event | None = None

    def __init__(
        self,
        *,
        date_range_start: str | date | None = None,
        date_range_end: str | date | None = None,
        lookback_days: int = 14,
        school_ids: str | Sequence[str] | None = None,
        section_ids: str | Sequence[str] | None = None,
        attendance_status: str | None = None,
        destination: str | None = None,
        file_format: str = "parquet",
        max_xcom_records: int = 10_000,
        max_concurrency: int = 16,
        expected_requests: int | None = None,
        page_limit: int = 1000,
        max_span_days: int | None = None,
        fail_on_quarantine: bool = True,
        fail_on_withheld: bool = True,
        most_missing_percent: float = 10.0,
        most_missing_percent_of_run: float = 5.0,
        most_missing_students: int = 2,
        confirm_seconds: float = 10.0,
        listed_at: str | datetime | None = None,
        write_changes: bool = False,
        announce: bool = True,
        single_writer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.date_range_start = date_range_start
        self.date_range_end = date_range_end
        self.lookback_days = lookback_days
        self.school_ids = school_ids
        self.section_ids = section_ids
        self.attendance_status = attendance_status
        self.destination = destination
        self.file_format = file_format
        self.max_xcom_records = max_xcom_records
        self.max_concurrency = max_concurrency
        self.expected_requests = expected_requests
        self.page_limit = page_limit
        self.max_span_days = max_span_days
        self.fail_on_quarantine = fail_on_quarantine
        self.fail_on_withheld = fail_on_withheld
        self.most_missing_percent = most_missing_percent
        self.most_missing_percent_of_run = most_missing_percent_of_run
        self.most_missing_students = most_missing_students
        self.confirm_seconds = confirm_seconds
        self.listed_at = listed_at
        self.write_changes = write_changes
        self.announce = announce
        self.single_writer = single_writer
        if destination is not None and announce:
            declare(self, landed_alias(), asset_if_known(landed_asset, destination, self.district_id))

    def _run(self, context: Context) -> list[dict[str, Any]] | dict[str, Any]:
        # Set already if SIGTERM came early: Airflow calls on_kill as soon as the task is loaded, before it is executed.
        self._stop = self._stop or threading.Event()
        try:
            question = self._question(context)
            if self.destination is not None and not self.announce:
                leave_asked(context, DateRange(question.first_day, question.last_day), self.district_id or None)
            answer = self._answer(question, context, self._stop)
            if answer.problem is None and not answer.summary["received"]:
                answer.problem = _unanswerable(question)
            self._leave_summary(context, answer.summary)
            if answer.problem is not None:
                raise answer.problem
            if self.destination is not None and self.announce:
                announce_landed(self, context, self.destination, answer.summary["district_id"], [answer.summary])
        finally:
            self._stop = None  # a pull that fails sets it, and dag.test() tries again with this very object
        return answer.rows if self.destination is None else answer.summary

    def on_kill(self) -> None:
        """Stop the pull at once; what has landed stays intact."""
        self._stop = self._stop or threading.Event()
        self._stop.set()

    def _question(self, context: Context) -> "Question":
        from airflow_provider_clever.pull.question import Question

        window = run_window(
            facts_from_context(context),
            date_range_start=self.date_range_start,
            date_range_end=self.date_range_end,
            lookback_days=self.lookback_days,
            district_id=self.district_id,
        )
        question = Question(
            first_day=window.start,
            last_day=window.end,
            school_ids=_ids(self.school_ids),
            section_ids=_ids(self.section_ids),
            attendance_status=self.attendance_status or None,
            expected_requests=self.expected_requests,
        )
        self.log.info("Attendance dates: %s", window)
        all_schools = f"all schools of {whose(self.district_id, self.clever_conn_id)}"
        name_instance(context, f"{window.start} to {window.end}, {question.named or all_schools}")
        return question

    def _answer(self, question: "Question", context: Context, stop: threading.Event) -> "TransferResult":
        from airflow_provider_clever.transfer.transfer import Transfer

        with self._client(stop=stop, page_limit=self.page_limit, max_span_days=self.max_span_days) as client:
            transfer = Transfer(client, question, stop=stop, max_concurrency=self.max_concurrency)
            if self.destination is None:
                answer = self._to_xcom(transfer)
            else:
                answer = self._to_destination(transfer, context, idempotency_key(context, question))
        self.log.info("%s", summary_line(answer.summary))
        fails = {CleverDataError: self.fail_on_quarantine, CleverWithheldError: self.fail_on_withheld}
        if answer.problem is not None and not fails.get(type(answer.problem), True):
            self.log.warning("%s", answer.problem)
            answer.problem = None
        return answer

    def _to_xcom(self, transfer: "Transfer") -> "TransferResult":
        self.log.warning(
            "No destination is set: the rows are returned through XCom and lie in Airflow's metadata database. "
            "Attendance is an education record; set `destination` to land it in object storage instead."
        )
        return transfer.rows(limit=self.max_xcom_records)

    def _to_destination(
        self, transfer: "Transfer", context: Context, idempotency_key: "IdempotencyKey"
    ) -> "TransferResult":
        from airflow_provider_clever.attendance.absence import AbsenceRules

        rules = AbsenceRules(
            school_percent=self.most_missing_percent,
            run_percent=self.most_missing_percent_of_run,
            students=self.most_missing_students,
            confirm_seconds=self.confirm_seconds,
        )
        place = self._open_destination()  # before Clever is asked anything
        answer = transfer.land(
            lambda district_id: self._destination_of(district_id, place, context),
            idempotency_key=idempotency_key,
            today=datetime.now(UTC).date(),
            write_changes=self.write_changes,
            gone_schools=lambda district_id: self._gone_schools(district_id, place),
            absence=rules,
            listed_at=_moment("listed_at", self.listed_at),
            try_number=context["ti"].try_number,
        )
        self.found_receipt = answer.summary.get("receipt")
        if not _is_planned(context):
            self.log.info("%s", NOT_WATCHED)
            if coverage := readable_coverage(place.objects, answer.summary["district_id"]):
                warn_of_days_at_risk(coverage)
        return answer

    def _gone_schools(self, district_id: str, place: OpenDestination) -> "Collection[str]":
        """Give the schools that are no longer shared, from the destination's coverage; none if it has no coverage."""
        coverage = readable_coverage(place.objects, district_id)
        return [school_id for school_id in coverage.schools if coverage.is_gone(school_id)] if coverage else ()

    def _destination_of(self, district_id: str, place: OpenDestination, context: Context) -> "Destination":
        from airflow_provider_clever.lake.store import Destination

        self.log.info("Landing attendance of district %s at %s", district_id, place.url)
        destination = Destination(
            place.objects.fs,
            place.objects.root,
            district_id=district_id,
            file_format=self.file_format,
            single_writer=self.single_writer,
        )
        take_answer(destination.objects, district_id, context)
        return destination


def _ids(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Give the ids as a tuple; None if there are none."""
    return None if given is None else (given,) if isinstance(given, str) else tuple(given)


def _is_planned(context: Context) -> bool:
    """Whether a plan chose the task's days; the plan then also handles other due days."""
    task = context.get("task")
    return any(isinstance(one, CleverAttendancePlanOperator) for one in getattr(task, "upstream_list", ()))


def _unanswerable(question: "Question") -> CleverError | None:
    """Give the error for a question without any day that Clever can have. None: there is such a day."""
    from airflow_provider_clever.ledger.reporting import out_of_reach

    # The day changes first on the islands of UTC+14.
    latest_today = (datetime.now(UTC) + timedelta(hours=14)).date()
    reason = out_of_reach(DateRange(question.first_day, question.last_day), latest_today)
    return CleverSettingsError(f"No row came, and none could: {reason}. Ask for other days.") if reason else None


def _moment(name: str, given: str | datetime | None) -> datetime | None:
    """Parse an instant. None: none was given."""
    try:
        return sync_moment(given)
    except ValueError:
        raise CleverSettingsError(f"{name} is no instant. Write it as 2026-04-01T03:00:00Z, or leave it out.") from None
