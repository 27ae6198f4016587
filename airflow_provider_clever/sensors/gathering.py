"""The sensor that lets one run handle everything that lands within some minutes."""

from datetime import UTC, datetime

from airflow.sdk import BaseSensorOperator, Context


class GatheringSensor(BaseSensorOperator):
    """Waits once for its ``poke_interval`` in a run that an asset event has started, and not at all in others."""

    def poke(self, context: Context) -> bool:
        """Whether the time has passed."""
        if context["dag_run"].run_type != "asset_triggered":
            return True
        now = datetime.now(UTC)
        started = context["ti"].get_first_reschedule_date(context) or now
        return (now - started).total_seconds() >= self.poke_interval
