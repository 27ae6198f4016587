"""Airflow with CeleryExecutor: the services of :class:`AirflowStack`, and workers as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.airflow import COMPONENTS, READY_SECONDS, AirflowHome, AirflowStack

SLOTS: Final = 2


class CeleryStack(AirflowStack):
    """A stack whose tasks run on workers, ``worker-1`` and so on; kill one as any other component.

    :param home: the home; its database must be PostgreSQL, and holds Celery's results, too.
    :param broker_url: Redis.
    :param workers: how many, of two slots each. Default 2.
    :param options: as for :class:`AirflowStack`.
    """

    def __init__(
        self,
        home: AirflowHome,
        *,
        broker_url: str,
        workers: int = 2,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.workers = tuple(f"worker-{number}" for number in range(1, workers + 1))
        super().__init__(
            home,
            env={
                "AIRFLOW__CELERY__BROKER_URL": broker_url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{home.database_url}",
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
                "AIRFLOW__CORE__PARALLELISM": str(SLOTS * workers),
                **(env or {}),
            },
            executor="CeleryExecutor",
            components=(*COMPONENTS, *self.workers),
            **options,
        )

    def start(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """Start one service or worker."""
        if component not in self.workers:
            super().start(component, env)
            return
        command = ["celery", "worker", "--celery-hostname", f"{component}@test", "--skip-serve-logs"]
        with (self.home.path / f"{component}.log").open("ab") as log:
            self.processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env={**self._environment, **(env or {})},
                cwd=self.home.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until every service is healthy and every worker takes tasks."""
        super().wait_ready()

        def ready() -> bool:
            return all(" ready." in self.output(worker) for worker in self.workers)

        self.wait_until(ready, "the workers take tasks", READY_SECONDS)

    def descendants(self, component: str) -> set[int]:
        """List the processes below a service or worker, whatever group they put themselves into."""
        children: dict[int, set[int]] = {}
        for pid in self.running():
            parent = _parent(pid)
            children.setdefault(parent, set()).add(pid)
        found: set[int] = set()
        todo = [self.processes[component].pid]
        while todo:
            below = children.get(todo.pop(), set()) - found
            found |= below
            todo += below
        return found


def _parent(pid: int) -> int:
    try:
        # The name stands in parentheses and may hold anything; the state and the parent follow it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
