"""Student attendance from Clever for Apache Airflow."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("airflow-provider-clever")
except PackageNotFoundError:  # a source tree that was put on the path without being installed
    __version__ = "0+unknown"
