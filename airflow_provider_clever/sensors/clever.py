"""The sensor that waits until a district has synced attendance."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context, PokeReturnValue

from airflow_provider_clever.compat import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferralTimeout,
    conf,
)
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.hooks.failures import end_log_with_reason, failing_for_good
from airflow_provider_clever.hooks.instance_names import name_instance, whose
from airflow_provider_clever.plugins.links import COVERAGE_LINKS
from airflow_provider_clever.sensors.baselines import (
    Baseline,
    WaitQuestion,
    first_baseline,
    given_baseline,
    remember,
    remembered,
    seen,
    seen_key,
    sync_key,
)
from airflow_provider_clever.sensors.modes import ModeIndependentSensor
from airflow_provider_clever.storage.destination_url import destination_url
from airflow_provider_clever.syncs import ChangeLog, WaitMemory, moment_text, observe

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.models import District
    from airflow_provider_clever.triggers.clever import CleverAttendanceSyncTrigger

ON_PAUSED: Final = frozenset({"wait", "skip", "fail"})


_MADE: Final[dict[str, arguments.Rule]] = {
    "on_paused": arguments.text,
    "deferrable": arguments.flag,
    "start_from_trigger": arguments.flag,
}
_WAIT: Final = arguments.WHOSE | {"since": arguments.moment}
"""The rules of templated arguments; the destination is checked when it is opened."""


class CleverAttendanceSyncSensor(ModeIndependentSensor):
    """Waits until a district has synced attendance that was not known before.

    Succeeds when ``last_attendance_sync`` is later than the baseline: ``since``, else the watermark recorded at
    ``destination``, else the newest value that this sensor pushed for the district in earlier runs, else any sync at
    all. Returns it as ISO-8601 UTC, and pushes it as ``last_attendance_sync_<district_id>``.

    Trouble with Clever (no answer, 429, 5xx, a page in HTML) is a "not yet"; a refused token or a wrong argument fails
    the task for good. All options of Airflow's sensors mean the same in poke, reschedule and deferrable mode;
    ``execution_timeout`` bounds the whole wait in each, and unlike ``timeout`` lets the task be tried again.

    :param district_id: the district. Default: the connection's, or the only one that is connected.
    :param since: the baseline, ISO-8601 or a datetime. Blank counts as not given.
    :param destination: where attendance lands; its recorded watermark is the baseline.
    :param on_paused: when the district's uploads are paused (usual in summer): ``wait`` (default), ``skip`` or
        ``fail``.
    :param clever_conn_id: the connection. Default ``clever_default``.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param start_from_trigger: wait in the triggerer from the start, so that not even the first poke takes a worker
        slot. Needs ``deferrable`` and ``since``. Default False. Airflow 3.1 and 3.2 do not know it: there the task
        pokes once in a worker, then defers.
    """

    template_fields: Sequence[str] = ("district_id", "since", "destination", "clever_conn_id")
    operator_extra_links = COVERAGE_LINKS
    ui_color = "#e2f0d9"

    found_district: "District | None" = None

    _client: "CleverClient"
    _question: WaitQuestion
    _baseline: Baseline
    _changes: ChangeLog
    _memory: WaitMemory

    def __init__(
        self,
        *,
        district_id: str | None = None,
        since: str | datetime | None = None,
        destination: str | None = None,
        on_paused: str = "wait",
        clever_conn_id: str = CleverHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.district_id = district_id
        self.since = since
        self.destination = destination
        self.on_paused = on_paused
        self.clever_conn_id = clever_conn_id
        self.deferrable = deferrable
        self.start_from_trigger = start_from_trigger
        end_log_with_reason(self)
        arguments.check(self, _MADE)
        if on_paused not in ON_PAUSED:
            raise CleverSettingsError(f"on_paused must be one of {sorted(ON_PAUSED)}.")
        if start_from_trigger:
            self.start_trigger_args = self._first_trigger()

    def execute(self, context: Context) -> Any:
        """Poke, and wait in the way of the mode.

        :raises AirflowFailException: waiting on is pointless until a person fixes something.
        :raises AirflowSensorTimeout: there was no advance within ``timeout``.
        :raises AirflowTaskTimeout: there was none within ``execution_timeout``.
        """
        with self._ending_alike(), self._waiting(context):
            if self.deferrable:
                return self._poke_then_defer(context)
            self.timeout = self._limit_seconds()
            return super().execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after a deferral. One that timed out pokes once more, as the other modes do at their deadline."""
        with self._ending_alike():
            try:
                # Not the sensor base class', which lets soft_fail skip what fails in the other modes.
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except TaskDeferralTimeout:
                with self._waiting(context):
                    if found := self._poke_quietly(context):
                        return found.xcom_value
                raise self._timed_out() from None

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Read what the trigger found.

        :raises AirflowFailException: the trigger says that waiting on is pointless, or its event is not readable.
        :raises AirflowSkipException: the district is paused, and ``on_paused`` is ``skip``.
        """
        match event:
            case {"status": "advanced", "district_id": str(district_id), "last_attendance_sync": str(sync)}:
                return self._succeed(context, district_id, sync)
            case {"status": "paused", "message": str(message)}:
                self._end_because_paused(message)
            case {"status": "failed", "message": str(message)}:
                raise AirflowFailException(message)
        with failing_for_good(self):
            raise CleverSettingsError(
                "The trigger's event is not readable, so nothing is known about the sync. Check that workers and "
                "triggerers run the same version of the provider, then clear the task to wait anew."
            )

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask Clever once for the district's last sync."""
        with failing_for_good(self):
            try:
                district = self.found_district = self._client.get_district()
            except CleverError as error:
                if self._memory.ends(error):
                    raise AirflowFailException(str(error)) from None
                self._changes.trouble(error, "Waiting on.")
                memory = self._memory.as_note()
                self._keep(context, replace(self._baseline, logged=self._changes.logged, memory=memory))
                return PokeReturnValue(is_done=False)
        observed = self._memory.settled(observe(district, self._baseline.moment, datetime.now(UTC)))
        self._changes.observed(observed)
        if observed.advanced and observed.found is not None:
            return PokeReturnValue(
                is_done=True, xcom_value=self._succeed(context, observed.district_id, moment_text(observed.found))
            )
        has_moved = self._baseline.moved or observed.next_baseline != self._baseline.moment
        if has_moved and observed.next_baseline is not None:
            # However this wait ends, later runs continue from the value that went back.
            context["ti"].xcom_push(seen_key(observed.district_id), seen(moment_text(observed.next_baseline)))
        self._keep(context, Baseline(observed.next_baseline, has_moved, self._changes.logged, self._memory.as_note()))
        if observed.paused:
            self._end_because_paused(str(observed))
        return PokeReturnValue(is_done=False)

    # --- one wait -------------------------------------------------------------------------------------------------

    @contextmanager
    def _waiting(self, context: Context) -> Iterator[None]:
        """Fix the baseline before the first poke; keep one client, and so one token, for all pokes of this process."""
        from airflow_provider_clever.triggers.polling import POLL_POLICY

        with failing_for_good(self):
            arguments.check(self, _WAIT)
            name_instance(context, whose(self.district_id, self.clever_conn_id))
            if self.destination is not None:
                destination_url(self.destination, single_writer=True)
            with CleverHook(self.clever_conn_id, self.district_id or None).get_conn(policy=POLL_POLICY) as client:
                self._client = client
                is_enough = given_baseline(self.since) is not None and self.destination is None
                district_id = None if is_enough else client.settings.district_id or client.get_district().id
                self._question = WaitQuestion(self.since, self.destination, district_id)
                self._baseline = remembered(context, self._question) or first_baseline(context, self._question)
                self._changes = ChangeLog(self.log, self._baseline.logged)
                self._memory = WaitMemory.of_note(self._baseline.memory)
                yield

    def _keep(self, context: Context, baseline: Baseline) -> None:
        if baseline != self._baseline:
            self._baseline = baseline
            remember(context, self._question, baseline)

    def _succeed(self, context: Context, district_id: str, sync: str) -> str:
        name_instance(context, whose(district_id, self.clever_conn_id))
        context["ti"].xcom_push(sync_key(district_id), sync)
        context["ti"].xcom_push(seen_key(district_id), seen(sync))
        return sync

    def _end_because_paused(self, message: str) -> None:
        if self.on_paused == "skip":
            raise AirflowSkipException(message)
        if self.on_paused == "fail":
            raise AirflowFailException(message)

    def _poke_then_defer(self, context: Context) -> Any:
        start = time.monotonic()
        if found := self._poke_quietly(context):
            return found.xcom_value
        left_seconds = self._limit_seconds() - (time.monotonic() - start)
        if left_seconds <= 0:
            raise self._timed_out()
        return self.defer(
            trigger=self._trigger(self._baseline.moment, self._changes.logged),
            method_name="execute_complete",
            timeout=timedelta(seconds=left_seconds),
        )

    def _trigger(self, baseline: str | datetime | None, logged: str = "") -> "CleverAttendanceSyncTrigger":
        from airflow_provider_clever.triggers.clever import CleverAttendanceSyncTrigger

        return CleverAttendanceSyncTrigger(
            clever_conn_id=self.clever_conn_id,
            district_id=self.district_id,
            since=moment_text(baseline) if isinstance(baseline, datetime) else baseline,
            poke_seconds=self.poke_interval,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait_seconds=self.max_wait.total_seconds() if self.max_wait else None,
            on_paused=self.on_paused,
            silent_fail=self.silent_fail,
            logged=logged,
        )

    def _first_trigger(self) -> "StartTriggerArgs":
        from airflow.triggers.base import StartTriggerArgs

        if not self.deferrable or not isinstance(self.since, str | datetime) or not self.since:
            raise CleverSettingsError(
                "start_from_trigger needs deferrable=True and an explicit since: without a worker nobody looks up a "
                "watermark or what earlier runs pushed. Give since, or leave start_from_trigger out."
            )
        trigger_class, arguments = self._trigger(self.since).serialize()
        return StartTriggerArgs(
            trigger_cls=trigger_class,
            trigger_kwargs=arguments,
            next_method="execute_complete",
            timeout=timedelta(seconds=self._limit_seconds()),
        )
