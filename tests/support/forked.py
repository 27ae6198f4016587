"""Processes of a test's own in a few milliseconds: forked from one that has imported what they need.

multiprocessing keeps one such process and one list of what it imports: whoever sets the list last wins. It is here.
"""

import multiprocessing
import sys
from collections.abc import Collection
from multiprocessing.connection import Connection
from typing import Final

IMPORTED: Final = (
    "tests.lake.forgetting",
    "tests.lake.lander",
    "tests.lake.s3_read",
    "tests.support.pulling",
    "tests.table.iceberg_worker",
    "tests.table.writers",
)
"""The modules whose functions run in such processes; one that cannot be imported is left out, and costs time alone."""

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.forked", *IMPORTED])


def tell_what_is_missing(names: Collection[str], told: Connection) -> None:
    """Send the names of the modules that this process would have to import."""
    told.send([name for name in names if name not in sys.modules])
