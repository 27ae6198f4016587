"""A process that says everything it can: ``python -m tests.canary.child``.

It pulls what each line of its standard input asks for, with every logger at DEBUG, and prints what Python would print
of the answer and of the error, chain and all. Everything that is said goes to standard error; standard output gets one
line of JSON a job.
"""

import json
import logging
import os
import pickle
import sys
import traceback
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import BRISK, ask, settings_for


def main() -> None:
    """Do the jobs one by one until there are no more."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    for line in sys.stdin:
        reply = _act(json.loads(line))
        sys.stdout.flush()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _act(job: dict[str, Any]) -> dict[str, Any]:
    sandbox = Sandbox(job.pop("url"), 0)
    summary, problem = None, None
    try:
        if "settings" in job:
            _open(sandbox, job)
        elif "walk" in job:
            _walk(sandbox, job)
        else:
            summary, problem = _pull(sandbox, job)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        problem = error
    if problem is not None:
        _say(problem)
    return {
        "summary": summary,
        "error": problem and type(problem).__name__,
        "is_ours": isinstance(problem, CleverError),
        "message": str(problem or ""),
    }


def _open(sandbox: Sandbox, job: dict[str, Any]) -> None:
    settings = replace(settings_for(sandbox, job["district"]), **job["settings"])
    _print(repr(settings), str(settings))
    with CleverClient(settings) as client:
        client.get_district()


def _walk(sandbox: Sandbox, job: dict[str, Any]) -> None:
    school_id = sandbox.district(job["district"]).school_ids[0]
    query = AttendanceQuery(school_id=school_id, date_range_start=job["first_day"], date_range_end="2026-11-23")
    with CleverClient(settings_for(sandbox, job["district"]), policy=BRISK) as client:
        for record in client.iter_attendance(query):
            _print(repr(record), str(record))
        for page in client.iter_attendance_pages(query):
            _print(repr(page), str(page))


def _pull(sandbox: Sandbox, job: dict[str, Any]) -> tuple[dict[str, Any], Exception | None]:
    lake = job.pop("lake")
    dates = {name: date.fromisoformat(job[name]) for name in ("first_day", "last_day") if name in job}
    answer = ask(sandbox, lake and Path(lake), **{**job, **dates})
    _print(repr(answer), str(answer), json.dumps(answer.summary))
    return answer.summary, answer.problem


def _say(problem: BaseException) -> None:
    _print(*traceback.format_exception(problem))
    _print(repr(problem), repr(problem.args), repr(vars(problem)), pickle.dumps(problem, protocol=0).decode("latin-1"))
    logging.getLogger("whoever.catches.it").error("It failed", exc_info=problem)


def _print(*texts: str) -> None:
    sys.stdout.write("\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
