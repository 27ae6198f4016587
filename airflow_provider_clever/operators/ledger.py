"""What the operators of a district's coverage ledger share: the destination, and the present date in the district."""

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_clever.dates import date_from_text, zone_named
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.plugins.links import LEDGER_LINKS
from airflow_provider_clever.windows import LONGEST_LOOKBACK_DAYS, YEARS, RunFacts

if TYPE_CHECKING:
    from airflow_provider_clever.ledger.watermark import CorrectionRules
    from airflow_provider_clever.storage.objects import Objects


class LedgerOperator(DistrictOperator):
    """An operator that reads or writes a district's coverage.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param district_id: whose attendance. Default: the connection's district, or the only one that is connected.
    :param clever_conn_id: the connection; default ``clever_default``.
    :param lookback_days: for how many days after a day corrections to it are expected. Default 14.
    :param timezone: IANA name of the district's zone. Default: that of the DAG's schedule.
    :param today: the date to go by, ``YYYY-MM-DD``; for trials. Default: the present date in the zone.
    :param single_writer: promise that no other task writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    """

    template_fields: Sequence[str] = ("destination", "district_id", "clever_conn_id", "today")
    operator_extra_links = LEDGER_LINKS
    argument_rules: ClassVar[dict[str, arguments.Rule]] = arguments.WHOSE | {
        "lookback_days": arguments.whole_number(0, LONGEST_LOOKBACK_DAYS),
        "timezone": arguments.optional_text,
        "today": arguments.day,
        "single_writer": arguments.flag,
    }

    def __init__(
        self,
        *,
        destination: str,
        lookback_days: int = 14,
        timezone: str | None = None,
        today: str | date | None = None,
        single_writer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.lookback_days = lookback_days
        self.timezone = timezone
        self.today = today
        self.single_writer = single_writer

    def _zone(self, facts: RunFacts) -> tzinfo:
        return zone_named(self.timezone) if self.timezone else facts.timezone

    def _today(self, zone: tzinfo) -> date:
        if self.today in (None, "", "None"):
            return datetime.now(zone).date()
        try:
            today = date_from_text(str(self.today))
        except ValueError:
            raise CleverSettingsError("today is no date. Write it as YYYY-MM-DD, or leave it out.") from None
        if today.year not in YEARS:
            raise CleverSettingsError(f"today is {today}, which lies outside of {YEARS[0]} to {YEARS[-1]}.")
        return today

    def _rules(self, zone: tzinfo) -> "CorrectionRules":
        from airflow_provider_clever.ledger.watermark import CorrectionRules

        return CorrectionRules(timezone=zone, lookback_days=self.lookback_days)

    def _objects(self) -> "Objects":
        place = self._open_destination()
        self.log.info("Coverage of attendance at %s", place.url)
        return place.objects
