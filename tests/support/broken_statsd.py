"""A client for StatsD that breaks over our metrics alone: Airflow's own would fail the task before it began."""

from statsd import StatsClient


class BrokenClient(StatsClient):  # type: ignore[misc]
    """Raises where one of ours is sent."""

    def _send_stat(self, stat: str, value: str, rate: float) -> None:
        if stat.startswith("clever."):
            raise RuntimeError("out of order")
