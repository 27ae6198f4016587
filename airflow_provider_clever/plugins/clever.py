"""Adds the coverage page to Airflow's navigation. Airflow finds the plugin by the entry point ``airflow.plugins``.

Every Airflow process imports this module, so it neither makes nor reads anything.
"""

from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_clever.plugins.addresses import URL_PREFIX, page_path
from airflow_provider_clever.plugins.lazy_app import LazyApp


class CleverPlugin(AirflowPlugin):
    """Shows which districts are complete, according to what their runs have recorded."""

    name = "clever"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Clever attendance"}]  # noqa: RUF012 - as Airflow declares it
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"name": "Attendance", "href": f"{page_path()}/", "destination": "nav", "url_route": "clever-attendance"}
    ]
