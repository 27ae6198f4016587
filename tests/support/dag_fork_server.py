"""Fork processes that have already imported Airflow: ``python -m tests.support.dag_fork_server CONTROL_FD``.

Of the eight CPU seconds that an empty DAG takes in a fresh process, seven import Airflow, build its execution API and
compile its SQL. Here they are spent once: this process runs a DAG of its own, closes what that opened, and then forks a
child for each request. The child has an environment, an output, a session and an end of its own.

What Airflow bound when it was imported stays right, because its home is a symbolic link that leads to another home for
each child. Where Airflow left more behind than can be closed, nothing is forked (see ``tests.support.dag_forks``).
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.support.dag_run_child import only_dag, outcome_of

WARM_UP: Final = """
from airflow.sdk import Asset, dag, task


@dag(schedule=None)
def warm_up():
    @task
    def numbers():
        return [1, 2]

    @task(outlets=[Asset("warm-up")])
    def of_each(number):
        return number

    of_each.expand(number=numbers())


warm_up()
"""
STOP_SECONDS: Final = 5.0


def main(control: socket.socket) -> None:
    """Answer requests until the other end is closed; in each forked child, run what was asked for and return."""
    requests, answers = control.makefile("r"), control.makefile("w")
    control.close()
    print(json.dumps(why_not()), file=answers, flush=True)
    for line in requests:
        if not (pid := os.fork()):
            requests.close()
            answers.close()
            become(json.loads(line))
            return
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


def become(request: dict[str, Any]) -> None:
    """Go on as ``python -m MODULE JOB`` would, with this environment and output."""
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.import_module(request["module"]).main(Path(request["job"]))


def why_not() -> str | None:
    """Run a DAG and close what it opened. Give the reason if forking is not safe after that."""
    supervisor: Any = importlib.import_module("airflow.sdk.execution_time.supervisor")
    if not hasattr(supervisor.in_process_api_server, "cache_clear"):
        # Before 3.3 Airflow builds an execution API for each task, with a thread that never ends.
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    warm_up(supervisor.in_process_api_server())
    settings = importlib.import_module("airflow.settings")
    settings.Session.remove()
    settings.engine.dispose()
    for name in [name for name in sys.modules if name.startswith("unusual_prefix")]:  # so DagBag calls DAG files
        del sys.modules[name]
    deadline = time.monotonic() + STOP_SECONDS
    while (threads := len(os.listdir("/proc/self/task"))) > 1:  # noqa: PTH208  what is wanted is their number
        if time.monotonic() > deadline:
            return f"Airflow left {threads - 1} threads behind"
        time.sleep(0.01)
    if "pyarrow" in sys.modules:
        return "Airflow has imported pyarrow, which reads the environment"
    gc.collect()
    gc.freeze()  # what is not collected again is not copied for each child
    return None


def warm_up(api: Any) -> None:
    """Run a DAG with the execution API in this thread; its own transport has a thread, which no fork would have."""
    httpx = importlib.import_module("httpx")
    loop = asyncio.new_event_loop()
    # Never left: that would clear the services with which Airflow has prepared this app.
    lifespan = api.app.router.lifespan_context(api.app)
    # Before 3.3 it fails for want of a secret that this app never asks for. Airflow ignores that, too.
    with suppress(ValueError):
        loop.run_until_complete(lifespan.__aenter__())
    _KEPT.extend((loop, lifespan))

    class InThisThread(httpx.BaseTransport):  # type: ignore[name-defined,misc]
        def handle_request(self, request: Any) -> Any:
            async def answer() -> Any:
                answered = await httpx.ASGITransport(app=api.app).handle_async_request(request)
                return httpx.Response(answered.status_code, headers=answered.headers, content=await answered.aread())

            return loop.run_until_complete(answer())

    api.transport = InThisThread()
    dags = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    (dags / "warm_up.py").write_text(WARM_UP)
    run = only_dag(None).test()
    if str(run.state) != "success":
        raise SystemExit(f"The DAG of the warm-up ended as {run.state}.")
    outcome_of(run)
    del api.transport


_KEPT: Final[list[Any]] = []


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[1]), False)
    main(socket.socket(fileno=int(sys.argv[1])))
