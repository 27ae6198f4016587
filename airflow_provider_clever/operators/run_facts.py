"""Reads a run's facts from Airflow's task context."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Context

from airflow_provider_clever.compat import timetable_zone
from airflow_provider_clever.windows import RunFacts

if TYPE_CHECKING:
    from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
    from airflow_provider_clever.pull.question import Question


def facts_from_context(context: Context) -> RunFacts:
    """Give the facts of a run from which :func:`~airflow_provider_clever.windows.run_window` chooses its window.

    :param context: the task's context. What Airflow leaves out stays None.
    """
    run = context.get("dag_run")
    return RunFacts(
        timezone=_schedule_zone(context.get("dag")),
        params=dict(context.get("params") or {}),
        partition_key=getattr(run, "partition_key", None),  # from Airflow 3.2 on
        asset_events=tuple(_payloads(run)),
        data_interval_start=getattr(run, "data_interval_start", None),
        data_interval_end=getattr(run, "data_interval_end", None),
        logical_date=getattr(run, "logical_date", None),
        run_after=getattr(run, "run_after", None),
        run_type=str(getattr(getattr(run, "run_type", None), "value", "manual")),
    )


def idempotency_key(context: Context, question: "Question") -> "IdempotencyKey":
    """Give the idempotency key: the same for every try of one task instance that asks the same."""
    from airflow_provider_clever.lake.idempotency_key import IdempotencyKey, TaskInstanceName

    ti, run = context["ti"], context["dag_run"]
    moment = run.logical_date or getattr(run, "run_after", None) or run.start_date or datetime.now(UTC)
    identity = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, asdict(question))
    task = TaskInstanceName(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
    return IdempotencyKey.of(*identity, month=moment.astimezone(UTC).strftime("%Y-%m"), task=task)


def summaries_of(ti: Any, task_id: str) -> list[Mapping[str, Any]]:
    """Give the summaries that another task of the run pushed, one for each of its instances, mapped or not.

    :param ti: the present task's instance.
    :param task_id: of the other task.
    """
    return left_by(ti, task_id, "summary")


def left_by(ti: Any, task_id: str, key: str) -> list[Mapping[str, Any]]:
    """Give what another task of the run left in XCom, one mapping for each of its instances that did, mapped or not.

    :param ti: the present task's instance.
    :param task_id: of the other task.
    :param key: under which it lies in XCom.
    """
    found = ti.xcom_pull(task_ids=task_id, key=key)
    several = [found] if isinstance(found, Mapping) else found or ()
    return [one for one in several if isinstance(one, Mapping)]


def _schedule_zone(dag: DAG | None) -> tzinfo:
    # A timetable may name a zone of its own: then its intervals end at that zone's midnights, not at the start date's.
    zone = timetable_zone(getattr(dag, "timetable", None)) or getattr(dag, "timezone", None) or UTC
    if isinstance(zone, str):
        return ZoneInfo(zone)
    # As the standard library's: Airflow's are pendulum's, which have no hash before pendulum 3.3.
    if key := getattr(zone, "key", None):
        return ZoneInfo(key)
    offset = zone.utcoffset(None)
    return zone if offset is None else timezone(offset)


def _payloads(run: Any) -> list[dict[str, Any]]:
    extras = [event.extra for event in getattr(run, "consumed_asset_events", None) or ()]
    return [extra["payload"] for extra in extras if isinstance(extra.get("payload"), dict)]
