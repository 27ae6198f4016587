"""The coverage page in Airflow's navigation. Airflow finds it by the entry point ``airflow.plugins``.

Every process of Airflow's imports this, so nothing is made or read here.
"""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

from airflow_provider_clever.plugins.lazy_app import URL_PREFIX, LazyApp


def _href() -> str:
    """Give the page's address, below whatever path Airflow itself is served at."""
    return f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{URL_PREFIX}/"


class CleverPlugin(AirflowPlugin):
    """Shows which districts are complete, from what their runs have recorded."""

    name = "clever"
    fastapi_apps: ClassVar[list[Any]] = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Clever attendance"}]
    external_views: ClassVar[list[Any]] = [
        {"name": "Clever attendance", "href": _href(), "destination": "nav", "url_route": "clever-attendance"}
    ]
