"""Looks up the Airflow connection that a command names, in the environment or in Airflow."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace
from typing import Any

from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.settings import CleverSettings


@contextmanager
def airflow_on_stderr() -> Iterator[None]:
    """Redirect output to the error stream: Airflow logs to standard output, where the answer may be a JSON document."""
    with redirect_stdout(sys.stderr):
        yield


def settings_of(conn_id: str, district_id: str | None) -> CleverSettings:
    """Give the settings of a connection. A connection in the environment, as JSON, needs no Airflow.

    :param conn_id: the connection.
    :param district_id: the district that is meant; None: the connection's own, else the only one there is.
    :raises CleverSettingsError: there is no such connection, or a field of it is wrong.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(variable, "")
    if text.startswith("{"):
        return CleverSettings.from_connection(_connection(variable, text), district_id)
    try:
        with airflow_on_stderr():
            from airflow_provider_clever.hooks.clever import CleverHook

            return CleverHook(conn_id, district_id).get_settings()
    except CleverError:
        raise
    except Exception as error:  # noqa: BLE001 - no such connection, no database, no Airflow: each raises its own kinds
        raise CleverSettingsError(
            f"Airflow gives no connection {conn_id} here ({type(error).__name__}). Set {variable} as JSON, make the "
            "connection in this Airflow, or name another one with --conn-id."
        ) from None


def forget_secret_of(conn_id: str | None) -> str | None:
    """Give the key that a connection holds for the hashes of forgotten students.

    :param conn_id: the connection; None: the environment's key counts.
    :raises CleverSettingsError: as :func:`settings_of`.
    """
    return None if conn_id is None else settings_of(conn_id, None).forget_secret


def _connection(variable: str, text: str) -> Any:
    try:
        fields = json.loads(text)
        extra = fields.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
    except (ValueError, RecursionError):
        raise CleverSettingsError(
            f"{variable} is no JSON. Write it as an Airflow connection: "
            '{"conn_type": "clever", "login": "CLIENT ID", "password": "CLIENT SECRET"}.'
        ) from None
    if not isinstance(extra, dict):
        raise CleverSettingsError(f"{variable}: extra is no JSON object.")
    names = ("host", "schema", "port", "login", "password")
    return SimpleNamespace(**{name: fields.get(name) for name in names}, extra_dejson=extra)
