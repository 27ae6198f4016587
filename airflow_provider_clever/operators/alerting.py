"""What the operators that send alerts share: their arguments, and sending what is due."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.sdk import Context

from airflow_provider_clever.alerts.decision import Alert, Cause, Message
from airflow_provider_clever.alerts.expectation import time_of_day
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.notifiers import names_of, notifiers_of, notify
from airflow_provider_clever.operators.ledger import LedgerOperator
from airflow_provider_clever.operators.run_facts import facts_from_context
from airflow_provider_clever.plugins.links import coverage_url
from airflow_provider_clever.storage.destination_url import shown_destination
from airflow_provider_clever.windows import BACKFILL

if TYPE_CHECKING:
    from airflow_provider_clever.alerts.sending import AlertInput, DueMessages
    from airflow_provider_clever.storage.objects import Objects

_SECRET: Final = re.compile(r"\S*/\S*")
"""Addresses and paths: that of a webhook is a password."""
_MOST_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class AlertsOutcome:
    """What became of the messages that were due.

    :param sent: how many were sent.
    :param unsent: for each that was not, why, and what to do.
    """

    sent: int = 0
    unsent: tuple[str, ...] = ()


class AlertingOperator(LedgerOperator):
    """A ledger operator that sends alerts about its district.

    :param on_problem: what sends the alerts: an Airflow notifier, or a list; each an object, an import path, or
        ``{"notifier": path, "kwargs": {...}}``. Default None: no alerts.
    :param expected_by: the time of day, ``HH:MM`` in the district's zone, by which the previous school day is to be in.
        Default None: there is none.
    :param district_name: what messages call the district. Default: as Clever does.
    """

    argument_rules: ClassVar[dict[str, arguments.Rule]] = LedgerOperator.argument_rules | {
        "district_name": arguments.optional_text
    }

    def __init__(
        self, *, on_problem: Any = None, expected_by: str | time | None = None, district_name: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.on_problem = notifiers_of(on_problem)
        try:
            self.expected_by = None if expected_by is None else time_of_day(expected_by)
        except ValueError as error:
            raise CleverSettingsError(f"expected_by {error}.") from None
        if self.expected_by and not self.on_problem:
            raise CleverSettingsError("expected_by needs on_problem: else nobody would be told.")
        self.district_name = district_name

    def _now(self, zone: tzinfo, today: date) -> datetime:
        now = datetime.now(zone)
        return now if now.date() == today else datetime.combine(today, now.timetz())

    @property
    def _known_name(self) -> str:
        return self.district_name or (self.found_district.name if self.found_district else "") or ""

    def _send_alerts(self, context: Context, objects: "Objects", given: "AlertInput") -> AlertsOutcome:
        """Send the messages that are due. A backfill run sends none: it is about the past.

        A failure is part of the outcome and no exception: what has landed counts all the same.
        """
        from airflow_provider_clever.alerts.sending import claim_messages, note_sent

        if not self.on_problem or facts_from_context(context).run_type == BACKFILL:
            return AlertsOutcome()
        by = _process_name(context)
        notifiers = dict(zip(names_of(self.on_problem), self.on_problem, strict=True))
        sent: dict[tuple[str, Cause], bool] = {}
        unsent = []
        try:
            due = claim_messages(objects, given, notifiers, by=by)
            for name, messages in due.by_notifier.items():
                for message in messages:
                    alert = self._alert(given, due, message)
                    try:
                        notify(notifiers[name], context, alert)
                    except Exception as error:  # noqa: BLE001 - a notifier may raise anything, and must not fail a run
                        unsent.append(_why_unsent(name, alert, error))
                        sent[name, message.cause] = False
                    else:
                        self.log.info("Told %s: %s", name.rpartition(".")[2], alert.title)
                        sent[name, message.cause] = True
            note_sent(objects, given.coverage.district_id, due, sent, by=by)
        except CleverError as error:
            unsent.append(f"What people were told could not be read or noted, so a message may be missing: {error}")
        return AlertsOutcome(sum(sent.values()), tuple(unsent))

    def _alert(self, given: "AlertInput", due: "DueMessages", message: Message) -> Alert:
        district_id, destination, state = given.coverage.district_id, str(self.destination), message.state
        return Alert(
            cause=message.cause,
            is_recovery=message.is_recovery,
            district_id=district_id,
            district_name=due.name or district_id,
            destination=shown_destination(destination),
            headline=state.title,
            what=state.what,
            next_step=state.next_step,
            schools=state.schools,
            since=message.since,
            link=coverage_url(self),
        )


def _process_name(context: Context) -> str:
    ti: Any = context["ti"]
    return f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index}"


def _why_unsent(name: str, alert: Alert, error: Exception) -> str:
    words = _SECRET.sub("…", " ".join(str(error).split()))
    shown = words if len(words) <= _MOST_CHARACTERS else f"{words[:_MOST_CHARACTERS]}…"
    why = f"{type(error).__name__}: {shown}" if shown else type(error).__name__
    return (
        f"{name.rpartition('.')[2]} could not be told '{alert.title}' ({why}). "
        "Correct the notifier or its connection; the message is sent again the next time"
    )


def ending_log(sentences: Sequence[str]) -> str:
    """Join sentences into the line that ends a log."""
    return ". ".join(sentences) + "."
