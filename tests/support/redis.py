"""A Redis server for tests, on a free port and without a file, from Debian's packages and without root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.airflow import ROOT, free_port

UNPACKED: Final = ROOT / ".venvs" / "redis"
PACKAGES: Final = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 5.0


def find_program() -> Path:
    """Give the server's program: of the PATH, else unpacked inside the checkout, downloaded the first time.

    :raises RuntimeError: it is not installed, and this is no Debian that could download it.
    """
    if found := shutil.which("redis-server"):
        return Path(found)
    program = UNPACKED / "usr" / "bin" / "redis-server"
    if not program.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            raise RuntimeError("Redis is not installed, and apt-get is not there to fetch it. Install redis-server.")
        UNPACKED.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=UNPACKED, check=True, timeout=120)
        for package in UNPACKED.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, UNPACKED], check=True, timeout=60)
    return program


@contextmanager
def running_redis() -> Iterator[str]:
    """Start a server, give its URL, and stop it by its pid.

    :raises RuntimeError: Redis is not installed, or it does not start.
    """
    program, port = find_program(), free_port()
    libraries = ":".join(str(folder) for folder in (UNPACKED / "usr" / "lib").glob("*-linux-*"))
    with tempfile.TemporaryDirectory(prefix="clever-redis-") as folder, Path(folder, "output.txt").open("wb") as sink:
        server = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder],
            env={**os.environ, **({"LD_LIBRARY_PATH": libraries} if program.is_relative_to(UNPACKED) else {})},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(port, server, Path(folder, "output.txt"))
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Redis did not start: {output.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as asking:
        asking.sendall(b"PING\r\n")
        return asking.recv(16).startswith(b"+PONG")
    return False
