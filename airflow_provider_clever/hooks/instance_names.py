"""Names mapped task instances in Airflow's UI."""

from airflow.sdk import Context


def whose(district_id: str | None, clever_conn_id: str) -> str:
    """Say whose attendance a task is about, as far as it is known before Clever was asked."""
    return f"district {district_id}" if district_id else f"connection {clever_conn_id}"


def name_instance(context: Context, name: str) -> None:
    """Name a mapped task instance in Airflow's UI, if the DAG's author has not: else it is a number.

    :param context: the task's context.
    :param name: plain text. A later one replaces it.
    """
    instance = context.get("ti")
    is_named = getattr(getattr(instance, "task", None), "map_index_template", None) is not None
    if getattr(instance, "map_index", -1) >= 0 and not is_named:
        context["map_index_template"] = name
