"""A server that says exactly the bytes it is told to, as slowly as it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, threading.Event], None]


@dataclass
class RawServer:
    """A listening socket and what it heard."""

    url: str
    heard: list[str] = field(default_factory=list)


@contextmanager
def serving(behave: Behaviour) -> Iterator[RawServer]:
    """Serve each connection with one behaviour, until the end of the block.

    :param behave: is given the connection, after the head of a request was read, and an event that ends it.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    done = threading.Event()
    server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    threads = []

    def handle(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                head += chunk
            server.heard.append(head.decode())
            try:
                behave(connection, done)
            except OSError:
                return

    def accept() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(10)
            threads.append(threading.Thread(target=handle, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        done.set()
        acceptor.join(5)
        listener.close()
        for thread in threads:
            thread.join(5)


def saying(text: bytes) -> Behaviour:
    """Say this, then close."""
    return lambda connection, _: connection.sendall(text)


ROWS = b'{"data":[{}],"links":[{"rel":"self","uri":"/"}]}'
"""A page with a row, that does not say to what question."""


def page(body: bytes = ROWS, extra: str = "", length: int | None = None) -> bytes:
    """Write out a 200."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n{extra}\r\n".encode() + body


def dripping(seconds: float) -> Behaviour:
    """Send a body one byte at a time, for ever."""

    def drip(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(page(b"", length=100_000))
        while not done.wait(seconds):
            connection.sendall(b" ")

    return drip


def silent(connection: socket.socket, done: threading.Event) -> None:
    """Say nothing."""
    del connection
    done.wait(30)


def endless(connection: socket.socket, done: threading.Event) -> None:
    """Send more than anybody wants."""
    connection.sendall(page(b"", length=2**40))
    while not done.is_set():
        connection.sendall(b" " * 2**20)
