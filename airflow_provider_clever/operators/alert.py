"""The operator that sends alerts at a time of day, if a district is not in by then."""

from typing import Any

from airflow.sdk import Context

from airflow_provider_clever.exceptions import CleverAlertError, CleverSettingsError
from airflow_provider_clever.operators.alerting import AlertingOperator, ending_log
from airflow_provider_clever.operators.run_facts import facts_from_context


class CleverAttendanceAlertOperator(AlertingOperator):
    """Sends an alert if a district is not in by a time of day, or if days are about to be lost. For a DAG of its own.

    Let that DAG start at ``expected_by``. The operator reads the destination and asks Clever nothing, so it notices
    runs that hang, failed or never began. Alerts about everything else come from the coverage operator, at the end of a
    run. A backfill run sends none.

    Returns how many messages were sent.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param on_problem: what sends the alerts: an Airflow notifier, or a list; each an object, an import path, or
        ``{"notifier": path, "kwargs": {...}}``.
    :param expected_by: the time of day, ``HH:MM`` in the district's zone, by which the previous school day is to be in.
        Default None: alerts are about days that are about to be lost, and nothing else.
    :param district_name: what messages call the district. Default: as Clever does.
    :param district_id: whose attendance. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``. Asked only if nothing else names a district.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to go by, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param lookback_days: as in the plan. Default 14.
    :param single_writer: promise that no other task writes to this destination at the same time. Default False.
    :raises CleverAlertError: a notifier failed; its message is sent again the next time.
    """

    ui_color = "#fadbd8"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.on_problem:
            raise CleverSettingsError("on_problem is missing: nobody would be told.")

    def _run(self, context: Context) -> int:
        from airflow_provider_clever.alerts.sending import AlertInput
        from airflow_provider_clever.dates import zone_name
        from airflow_provider_clever.lake.forgotten import ForgottenDistrictError, refuse_forgotten
        from airflow_provider_clever.ledger.coverage_store import Listing, current_coverage

        objects = self._objects()
        zone = self._zone(facts_from_context(context))
        today = self._today(zone)
        district_id = self.district_id or self._only_district()
        try:
            refuse_forgotten(objects, district_id)
        except ForgottenDistrictError as error:
            self.log.info("%s Nobody is told of it any more.", error)
            return 0
        listing = Listing(today=today, timezone=zone_name(zone), rules=self._rules(zone))
        coverage = current_coverage(objects, district_id, listing).coverage
        given = AlertInput(
            coverage=coverage,
            now=self._now(zone, today),
            zone=zone,
            expected_by=self.expected_by,
            name=self._known_name,
        )
        outcome = self._send_alerts(context, objects, given)
        if outcome.unsent:
            raise CleverAlertError(ending_log(outcome.unsent))
        return outcome.sent

    def _only_district(self) -> str:
        with self._client() as client:
            return str(client.get_district().id)
