"""Gives the versions of the packages that run here."""

import platform
from importlib.metadata import PackageNotFoundError, version

from airflow_provider_clever import __version__


def installed(distribution: str) -> str | None:
    """Give the version of an installed distribution. None: it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def versions() -> str:
    """Give the versions of provider, Airflow and Python on one line."""
    airflow = installed("apache-airflow") or "not installed"
    return f"airflow-provider-clever {__version__}, Airflow {airflow}, Python {platform.python_version()}"
