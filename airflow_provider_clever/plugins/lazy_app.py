"""Makes the page's application at its first request, because FastAPI takes long to import."""

from typing import Any

from airflow_provider_clever.plugins.addresses import URL_PREFIX


class LazyApp:
    """An ASGI application that is imported when it is first called."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if self._app is None:
            from airflow_provider_clever.plugins.web import make_app

            self._app = make_app(URL_PREFIX)
        await self._app(scope, receive, send)
