"""A PostgreSQL server for tests: a throwaway cluster on a free port, durable only as long as it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.airflow import free_port

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 20.0
_SPEED: Final = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Postgres:
    """A running server.

    :param port: its port on loopback.
    :param psql: the client program.
    """

    def __init__(self, port: int, psql: Path) -> None:
        self.port = port
        self._psql = psql

    def create_database(self, name: str) -> str:
        """Make an empty database and give its SQLAlchemy URL."""
        self.query("postgres", f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/{name}"

    def query(self, database: str, statement: str) -> str:
        """Run one statement and give what it printed, columns apart by a bar."""
        command = [str(self._psql), "-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow", "-d", database]
        done = subprocess.run(
            [*command, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout


def find_programs() -> Path | None:
    """Give the folder of PostgreSQL's programs: of the PATH, else Debian's newest; None if it is not installed."""
    on_path = shutil.which("pg_ctl")
    if on_path and Path(on_path).resolve().with_name("initdb").exists():
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server on a free port and stop it by its pid; its data go with it.

    :raises RuntimeError: PostgreSQL is not installed, or it does not start.
    """
    programs = find_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql")
    # The server refuses to run as root.
    identity: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="clever-postgres-"))
    try:
        if identity:
            shutil.chown(folder, **identity)
        data, output, port = folder / "data", folder / "output.txt", free_port()
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "airflow", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, cwd=folder, check=True, capture_output=True, timeout=120, **identity)
        listen = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "max_connections=200"]
        with output.open("wb") as sink:
            server = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(data), *listen, *_SPEED],
                cwd=folder,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )
        try:
            _wait_until_ready(programs, port, server, output)
            yield Postgres(port, programs / "psql")
        finally:
            server.send_signal(2)  # SIGINT: the fast shutdown, which does not wait for clients
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(programs: Path, port: int, server: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, timeout=10, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {output.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
