"""Finds the baseline of a wait once, before the first poke, and keeps it until the wait ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.syncs import WaitMemory, moment_text, sync_moment

NOTE_KEY: Final = "clever_attendance_sync_wait"


class WaitQuestion(NamedTuple):
    """What a wait's baseline depends on.

    :param since: the baseline itself, if it was given.
    :param destination: where a watermark may be recorded.
    :param district_id: the district; None if only ``since`` is given.
    """

    since: str | datetime | None
    destination: str | None
    district_id: str | None


@dataclass(slots=True)
class Baseline:
    """The sync that a wait compares with.

    :param moment: the sync; None: any sync at all is an advance.
    :param moved: whether the district's value went back during this wait.
    :param logged: the condition that another process of this wait logged last.
    :param memory: what else the wait remembers, from :meth:`WaitMemory.as_note`.
    """

    moment: datetime | None
    moved: bool = False
    logged: str = ""
    memory: dict[str, Any] = field(default_factory=dict)


def sync_key(district_id: str) -> str:
    """Give the XCom key of the sync that a wait found."""
    return f"last_attendance_sync_{district_id}"


def seen_key(district_id: str) -> str:
    """Give the XCom key that also says when a sync was found: a value that went back is the newer find."""
    return f"last_attendance_sync_{district_id}_seen"


def seen(sync: str) -> dict[str, str]:
    """Give the XCom value for a sync found now."""
    return {"sync": sync, "at": moment_text(datetime.now(UTC))}


def given_baseline(since: str | datetime | None) -> datetime | None:
    """Give the baseline named by ``since``; None if there is none.

    :raises CleverSettingsError: it is not a timestamp.
    """
    try:
        return sync_moment(since)
    except ValueError as error:
        raise CleverSettingsError(f"since is {error}. Give ISO-8601, such as 2026-11-20T04:00:00Z.") from None


def first_baseline(context: Mapping[str, Any], question: WaitQuestion) -> Baseline:
    """Find the baseline for a new wait.

    :param context: the task's context.
    :raises CleverSettingsError: ``since`` is not a timestamp, or the district was forgotten at the destination.
    :raises CleverLandingError: the watermark cannot be read.
    """
    moment = given_baseline(question.since)
    if question.destination is not None and question.district_id:
        from airflow_provider_clever.lake.forgotten import refuse_forgotten
        from airflow_provider_clever.ledger.coverage_store import read_coverage

        # Reading needs no store that compares and swaps.
        objects = open_destination(question.destination, single_writer=True).objects
        refuse_forgotten(objects, question.district_id)
        if moment is None:
            moment = sync_moment(read_coverage(objects, question.district_id).coverage.watermark)
    if moment is None and question.district_id:
        moment = _newest_pushed(context["ti"], question.district_id)
    return Baseline(moment)


def _newest_pushed(ti: Any, district_id: str) -> datetime | None:
    """Give what earlier runs pushed last, with any map index: a district may change its place in a mapping."""

    def pulled(key: str) -> list[Any]:
        found = ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True)
        return list(found) if isinstance(found, list | tuple) else [found]

    dated = [value for value in pulled(seen_key(district_id)) if isinstance(value, dict) and "at" in value]
    if dated:
        return sync_moment(max(dated, key=lambda value: str(value["at"]))["sync"])
    plain = [sync_moment(value) for value in pulled(sync_key(district_id)) if isinstance(value, str)]
    return max(filter(None, plain), default=None)


def remembered(context: Mapping[str, Any], question: WaitQuestion) -> Baseline | None:
    """Give the baseline of a wait that continues in this process; None if there is none for this question.

    It is kept in the task state store (Airflow 3.3), because Airflow clears a task's XComs whenever it starts again.
    """
    store = context.get("task_state_store")
    note = store.get(NOTE_KEY) if store is not None else None
    if not isinstance(note, dict) or note.get("question") != _text(question):
        return None
    # In a new try the log is a new one too, and begins with the condition.
    logged = str(note.get("logged", "")) if context.get("task_reschedule_count") else ""
    memory = WaitMemory.of_note(note.get("memory")).as_note()
    return Baseline(sync_moment(note.get("sync")), bool(note.get("moved")), logged, memory)


def remember(context: Mapping[str, Any], question: WaitQuestion, baseline: Baseline) -> None:
    """Keep the baseline for the process in which the wait continues."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(
            NOTE_KEY,
            {
                "question": _text(question),
                "sync": moment_text(baseline.moment) if baseline.moment else None,
                "moved": baseline.moved,
                "logged": baseline.logged,
                "memory": baseline.memory,
            },
        )


def _text(question: WaitQuestion) -> str:
    return "|".join(str(part) for part in question)
