"""What every contender is measured by. Standard library only: each contender runs in an environment of its own.

A contender is a script that gives :func:`main` two functions: ``pull(job)``, which does the work, and ``count(job)``,
which says how many rows came of it. First a small pull warms the process up, so that imports and the making of caches
count for nobody. Then the clock runs from the first request that the server sees to the return of ``pull``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Job:
    """What is to be pulled, from where, and how.

    :param origin: the server.
    :param token: the bearer token, whose account at the server is this job's alone.
    :param school_ids: the schools.
    :param first_day: first attendance date, ISO text, inclusive.
    :param last_day: last attendance date, ISO text, inclusive.
    :param folder: where results go.
    :param account: how the server shall treat the token; empty if others use the token too, and told the server.
    :param options: what only this contender understands.
    """

    origin: str
    token: str
    school_ids: list[str]
    first_day: str
    last_day: str
    folder: str
    account: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def path(self, school_id: str, *, limit: int = 1000) -> str:
        """Path and query of a school's first page."""
        dates = f"date_range_start={self.first_day}&date_range_end={self.last_day}"
        return f"/v3.1/attendance/schools/{school_id}?{dates}&limit={limit}"


def main(
    pull: Callable[[Job], object], count: Callable[[Job], int], more: Callable[[], dict[str, float]] = dict
) -> None:
    """Do the job that the file named on the command line holds, and write beside it what was measured.

    :param pull: does the work.
    :param count: the rows that came of it.
    :param more: what else the contender has measured in its last pull.
    """
    file = Path(sys.argv[1])
    job = Job(**json.loads(file.read_text()))
    if job.options.get("warm_up", True):
        warm_up = replace(
            job,
            token=job.token + "-warm-up",
            school_ids=job.school_ids[:1],
            last_day=job.first_day,
            folder=job.folder + "-warm-up",
        )
        Path(warm_up.folder).mkdir(parents=True, exist_ok=True)
        pull(warm_up)
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    measured = {**measure(pull, job), **more()}
    file.with_suffix(".measured.json").write_text(json.dumps({**measured, "rows": count(job)}))


def measure(pull: Callable[[Job], object], job: Job) -> dict[str, Any]:
    """Pull once, and tell the seconds, the CPU seconds and the peak memory from the first request on."""
    if job.account:
        _ask_server(job, "/_bench/begin", {"process_id": os.getpid(), **job.account})
    children_before = _children_cpu_seconds()
    before = memory_megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the kernel starts the peak (VmHWM) anew: proc(5)
    pull(job)
    ended, cpu_seconds = time.monotonic(), time.process_time()
    told: dict[str, Any] = _ask_server(job, "/_bench/account", {})
    first_request, cpu_at_first_request = told.pop("first_request"), told.pop("cpu_at_first_request")
    return {
        "seconds": ended - first_request,
        "ended": ended,
        "cpu_seconds": cpu_seconds - cpu_at_first_request + _children_cpu_seconds() - children_before,
        "peak_megabytes": memory_megabytes("VmHWM"),
        "megabytes_before": before,
        **told,
    }


def memory_megabytes(name: str = "VmRSS") -> float:
    """This process's memory: VmRSS now, VmHWM at its peak (proc(5))."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) / 1024


def _children_cpu_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _ask_server(job: Job, path: str, query: dict[str, Any]) -> Any:
    connection = HTTPConnection(urlsplit(job.origin).netloc, timeout=30)
    connection.request("GET", f"{path}?{urlencode({'token': job.token, **query})}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def count_lines(folder: str, pattern: str, mark: bytes = b"\n") -> int:
    """How often a mark stands in the files of a folder; by default their lines."""
    return sum(_marks(file, mark) for file in Path(folder).glob(pattern))


def _marks(file: Path, mark: bytes) -> int:
    with file.open("rb") as lines:
        return sum(line.count(mark) for line in lines)
