"""A whole pull from the sandbox as a process of its own: to be killed, or to run beside another."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow.parquet  # noqa: F401 - loaded once, in the process that all pulls are forked from

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask


def pull(url: str, lake: str, folder: str, work: str, told: Connection) -> None:
    """Land the small district from this working directory; the main function of a process."""
    os.chdir(folder)
    sandbox = Sandbox(url, 0)
    told.send("ready")
    ask(sandbox, Path(lake), work=work, write_changes=True)
