"""Explains any error to the user: what happened, and the next step. It never shows a traceback."""

import sys
import traceback
from pathlib import Path
from typing import Final

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.storage.errors import described

_STORES: Final = frozenset(
    {"adlfs", "aiobotocore", "aiohttp", "azure", "boto3", "botocore", "fsspec", "gcsfs", "google", "s3fs", "urllib3"}
)
"""Libraries that reach stores: their errors are about the store."""

_EXTRAS: Final = {
    "pyarrow": "parquet",
    "s3fs": "s3",
    "boto3": "s3",
    "botocore": "s3",
    "gcsfs": "gcs",
    "adlfs": "azure",
    "starlette": "sandbox",
    "uvicorn": "sandbox",
}

_PACKAGE: Final = Path(__file__).parents[1]


def complain(text: str) -> None:
    """Write an error message to the error stream."""
    print(f"clever-attendance: {text}", file=sys.stderr)


def in_words(error: Exception) -> str:
    """Say what happened, to what, and what to do. Messages of other libraries are left out: they may quote a row.

    :param error: anything that a command raised.
    """
    if isinstance(error, CleverError):
        return str(error)
    if isinstance(error, ImportError):
        name = (error.name or "a library").partition(".")[0]
        extra = f"[{_EXTRAS[name]}]" if name in _EXTRAS else ""
        wanted = "apache-airflow" if name == "airflow" else f"'airflow-provider-clever{extra}'"
        return f"{name} cannot be imported here. Install what this command needs: pip install {wanted}"
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _STORES:
        return described("use", str(getattr(error, "filename", None) or "the destination"), error)
    return (
        f"an unexpected {type(error).__name__} at {_place(error)}. What has landed is as it was; please report this "
        "with the command that you typed"
    )


def _place(error: Exception) -> str:
    """Name the line of our own code that raised the error, or that called the package which did."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    last = frames[-1] if frames else None
    return f"{Path(last.filename).relative_to(_PACKAGE)}:{last.lineno}" if last else "an unknown place"
