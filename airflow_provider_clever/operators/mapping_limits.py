"""How many mapped tasks the running Airflow takes, as its configuration says."""

from airflow_provider_clever.compat import conf
from airflow_provider_clever.ledger.task_sizing import MappingLimits


def mapping_limits() -> MappingLimits:
    """Read the limits from the configuration; what it does not say is as Airflow sets it by default."""
    default = MappingLimits()
    return MappingLimits(
        max_map_length=conf.getint("core", "max_map_length", fallback=default.max_map_length),
        parallelism=conf.getint("core", "parallelism", fallback=default.parallelism),
        max_active_tasks=conf.getint("core", "max_active_tasks_per_dag", fallback=default.max_active_tasks),
    )
