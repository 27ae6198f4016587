"""Student attendance from Clever for Apache Airflow."""


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: ``importlib.metadata`` is a third of what ``--help`` costs."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airflow-provider-clever")
    except PackageNotFoundError:  # a source tree that was put on the path without being installed
        return "0+unknown"
