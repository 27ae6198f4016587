"""The server: one port on loopback, up and down quickly, every connection counted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .app import CleverApp, Stage
from .control import control_app

LOOPBACK = ("127.0.0.1", "::1", "localhost")
KEEP_ALIVE_SECONDS = 75


def _connection_made(protocol: Any, transport: asyncio.Transport) -> None:
    """Give each connection a number, and its requests a way to end it."""
    protocol.app_state = {**protocol.app_state, "connection": next(_NUMBERS), "transport": transport}
    super(_Counted, protocol).connection_made(transport)


_NUMBERS = itertools.count(1)
# uvicorn picks its parser at import, so the class to extend is only known then.
_Counted: Any = type("_Counted", (AutoHTTPProtocol,), {"connection_made": _connection_made})


def refuse_taken_port(found: tuple[Any, ...]) -> None:
    """Refuse a port that nobody can serve at before the world is made: uvicorn names an error number, and no next step.

    :param found: the address, as ``socket.getaddrinfo`` gives it.
    :raises ValueError: the port is taken, or this user may not serve at it.
    """
    family, kind, protocol, _, address = found
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(address)
        except OSError as problem:
            raise ValueError(
                f"Port {address[1]} of {address[0]} is not free ({os.strerror(problem.errno or 0)}). "
                "Name another one with --port; 0 picks a free one."
            ) from None


class SandboxServer(uvicorn.Server):
    """A uvicorn server that says when it is ready and stops at once.

    :param stage: The sandbox's state.
    :param host: The address to serve at.
    :param port: The port; 0 picks a free one. uvicorn binds it itself: a socket made elsewhere would come without
        TCP_NODELAY and cost 40 ms a request.
    :param when_ready: Called with the port once requests are accepted.
    :param beyond_loopback: True: any host will do, such as a container's ``0.0.0.0``; whatever reaches it controls the
        sandbox. Default False.
    :raises ValueError: the host is not loopback, or no address at all; or the port is taken.
    """

    def __init__(
        self,
        stage: Stage,
        host: str,
        port: int,
        when_ready: Callable[[int], None],
        *,
        beyond_loopback: bool = False,
    ) -> None:
        if host not in LOOPBACK and not beyond_loopback:
            raise ValueError(
                f"The sandbox serves this machine only: host must be one of {LOOPBACK}, not {host!r}. To serve others "
                "as well, as in a container, add --beyond-loopback: all of its data is made up, but whatever reaches "
                "its port controls it."
            )
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise ValueError(f"{host!r} is no address of this machine: {problem}.") from None
        refuse_taken_port(found[0])
        super().__init__(
            uvicorn.Config(
                CleverApp(stage, control_app(stage)),
                host=host,
                port=port,
                http=_Counted,
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                backlog=1024,
            )
        )
        self._when_ready = when_ready
        self._background: set[asyncio.Task[None]] = set()
        self.port = port
        stage.refuse = self.refuse_for

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, and report the port."""
        await super().startup(sockets)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        self._when_ready(self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # uvicorn's signature
        """Stop immediately, without waiting for open requests."""
        for server in self.servers:
            server.close()
        for task in [*self.server_state.tasks, *self._background]:
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End with exit code 0 on SIGTERM and SIGINT; uvicorn itself would die by the signal."""
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def refuse_for(self, seconds: float) -> None:
        """Close the port for some seconds, so that connections are refused, and open it again."""
        task = asyncio.get_running_loop().create_task(self._refuse(seconds))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _refuse(self, seconds: float) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(seconds)
        config = self.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = _Counted(config=config, server_state=self.server_state, app_state={})
            return made

        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(protocol, config.host, self.port, backlog=config.backlog)]


def write_ready_file(path: Path, url: str, port: int) -> None:
    """Tell another process where the sandbox is; the file appears whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({"url": url, "port": port, "pid": os.getpid()}))
    partial.replace(path)
