"""The coverage page in Airflow's navigation. Airflow finds it by the entry point ``airflow.plugins``.

Every process of Airflow's imports this, so nothing is made or read here.
"""

from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_clever.plugins.addresses import URL_PREFIX, page_path
from airflow_provider_clever.plugins.lazy_app import LazyApp


class CleverPlugin(AirflowPlugin):
    """Shows which districts are complete, from what their runs have recorded."""

    name = "clever"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Clever attendance"}]  # noqa: RUF012 - as Airflow declares it
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"name": "Attendance", "href": f"{page_path()}/", "destination": "nav", "url_route": "clever-attendance"}
    ]
