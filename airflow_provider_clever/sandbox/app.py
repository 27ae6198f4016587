"""The sandbox as one ASGI application: Clever's routes by hand, for speed, and the control routes beside them."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import Answer, Delivery, in_style
from .fault_effects import EFFECTS, REPLIES, UNASKED, headers_for, skew_of, spoil, too_many
from .faults import Fault, FaultQueue, Received
from .identity import digest
from .journal import Entry, Journal
from .knobs import Knobs
from .limits import RateLimiter, Window
from .routes import answer, family_of
from .statement import PATHS as STATEMENT_PATHS
from .statement import statement_app
from .world import World, WorldPlan

SLOW_PARTS = 20
HOLD_LOOK_SECONDS = 0.02
UNANSWERED = (Delivery.HANG, Delivery.CLOSE, Delivery.REFUSE)


@dataclass
class Stage:
    """Everything that a running sandbox holds; a reset replaces its parts.

    :param first_plan: What a reset goes back to.
    :param first_knobs: The knobs that a reset goes back to.
    :param refuse: Closes the listening socket for some seconds; set by the server.
    """

    first_plan: WorldPlan
    first_knobs: Knobs
    refuse: Callable[[float], None] = lambda _seconds: None
    world: World = field(init=False)
    limiter: RateLimiter = field(init=False)
    faults: FaultQueue = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.reset(self.first_plan, self.first_knobs)

    def reset(self, plan: WorldPlan, knobs: Knobs) -> None:
        """Rebuild the world, and forget requests, windows and faults."""
        self.world = World(plan, knobs)
        self.world.turn(knobs)
        self.limiter, self.faults, self.journal = RateLimiter(), FaultQueue(), Journal()


class CleverApp:
    """Answers what api.clever.com and clever.com would, on one port.

    :param stage: The state behind the answers.
    :param control: Handles everything under ``/_sandbox/``.
    """

    def __init__(self, stage: Stage, control: ASGIApp) -> None:
        self.stage, self.control, self.statement = stage, control, statement_app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith("/_sandbox"):
            await self.control(scope, receive, send)
            return
        if scope["path"] in STATEMENT_PATHS:
            await self.statement(scope, receive, send)
            return
        headers = dict(scope["headers"])
        received = Received(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            family=family_of(scope["path"]),
            authorization=headers.get(b"authorization", b"").decode("latin-1"),
        )
        journal = self.stage.journal
        entry = _entry(received, scope)
        journal.begin(entry)
        try:
            reply, fault, window = self._answer(received)
            entry.status = 0 if reply.delivery in UNANSWERED else reply.status
            entry.fault = fault.kind if fault else ""
            delay_seconds = self.stage.world.knobs.latency_ms / 1000 + reply.delay_seconds
            if delay_seconds:
                await asyncio.sleep(delay_seconds)
            while self.stage.world.knobs.hold_answers:  # noqa: ASYNC110 - a knob is a value, and a reset replaces it
                await asyncio.sleep(HOLD_LOOK_SECONDS)
            accepts_gzip = b"gzip" in headers.get(b"accept-encoding", b"")
            reply = _compressed(reply) if accepts_gzip and self.stage.world.knobs.gzip else reply
            entry.sent_bytes = len(reply.body)
            wire = _Wire(scope, receive, send)
            await wire.deliver(reply, self._headers(reply, fault, window), self.stage.refuse)
        finally:
            journal.end(entry)

    def _answer(self, received: Received) -> tuple[Answer, Fault | None, Window | None]:
        world = self.stage.world
        world.deliver_due_rows()
        window: Window | None = None
        if received.family != "oauth" and received.authorization:
            admitted, window = self.stage.limiter.admit(received.authorization, world.knobs)
            if not admitted:
                return _rejected(world.knobs), None, window
        tokens = (
            {district.id: district.token for district in world.districts.values()} if self.stage.faults.faults else {}
        )
        fault = self.stage.faults.take(received, tokens)
        if fault is None:
            return answer(world, received, _params(received)), None, window
        if fault.kind == "429":
            if window:
                window.used -= 1
            return too_many(fault, window), fault, None
        if fault.kind in REPLIES:
            return REPLIES[fault.kind](fault), fault, window
        if fault.kind in EFFECTS:
            EFFECTS[fault.kind](world, received, fault)
        if fault.kind in UNASKED:
            return (
                UNASKED[fault.kind](world, received, fault, lambda asked: answer(world, asked, _params(asked))),
                fault,
                window,
            )
        return spoil(answer(world, received, _params(received)), fault), fault, window

    def _headers(self, reply: Answer, fault: Fault | None, window: Window | None) -> list[tuple[str, str]]:
        knobs = self.stage.world.knobs
        own = []
        if knobs.date_header:
            own.append(("Date", formatdate(time.time() + skew_of(fault, self.stage.world), usegmt=True)))
        if reply.content_type:
            own.append(("Content-Type", reply.content_type))
        hides = reply.status == 429 and not knobs.headers_on_429
        return own + reply.headers + ([] if hides else headers_for(window, fault, self.stage.world))


def _entry(received: Received, scope: Scope) -> Entry:
    return Entry(
        method=received.method,
        path=received.path,
        query=received.query,
        family=received.family,
        token=digest(received.token or received.authorization) if received.authorization else "",
        connection=scope.get("state", {}).get("connection", 0),
        received=time.time(),
    )


def _params(received: Received) -> dict[str, str]:
    """Read the query string. If a parameter occurs twice, the first counts."""
    params: dict[str, str] = {}
    for name, text in parse_qsl(received.query, keep_blank_values=True):
        params.setdefault(name, text)
    return params


def _rejected(knobs: Knobs) -> Answer:
    """Write the 429 of a spent window: empty, unless the knob says otherwise (clever-api.md 4, O29)."""
    reply = in_style(429, knobs.body_429)
    if knobs.retry_after_on_429:
        reply.headers.append(("Retry-After", str(knobs.retry_after_on_429)))
    return reply


def _compressed(reply: Answer) -> Answer:
    if len(reply.body) < 512:
        return reply
    reply.body = gzip.compress(reply.body, compresslevel=1, mtime=0)
    reply.headers.append(("Content-Encoding", "gzip"))
    return reply


class _AsWritten(bytes):
    """A header name that keeps its case; uvicorn would lower it, and Clever sends ``X-Ratelimit-*``."""

    def lower(self) -> bytes:
        return self


@dataclass(slots=True)
class _Wire:
    """One request's way back to the client."""

    scope: Scope
    receive: Receive
    send: Send

    async def deliver(self, reply: Answer, headers: list[tuple[str, str]], refuse: Callable[[float], None]) -> None:
        if reply.delivery is Delivery.HANG:
            await self._wait_for_disconnect(reply.seconds)
        if reply.delivery is Delivery.REFUSE:
            refuse(reply.seconds)
        if reply.delivery in UNANSWERED:
            await self._abort()
            return
        # uvicorn sends one answer per request, so unsolicited bytes bypass it.
        transport: asyncio.Transport = self.scope["state"]["transport"]
        if reply.before:
            transport.write(reply.before)
        raw: list[tuple[bytes, bytes]] = [(_AsWritten(name.encode()), text.encode()) for name, text in headers]
        raw.append((b"Content-Length", b"%d" % len(reply.body)))
        await self.send({"type": "http.response.start", "status": reply.status, "headers": raw})
        if reply.delivery is Delivery.RESET:
            await self._part(reply.body[: len(reply.body) // 2])
            await asyncio.sleep(0.05)
            await self._abort()
            return
        if reply.delivery is Delivery.SLOW:
            size = max(1, -(-len(reply.body) // SLOW_PARTS))
            for start in range(0, len(reply.body), size):
                await self._part(reply.body[start : start + size])
                await asyncio.sleep(reply.seconds / SLOW_PARTS)
            reply.body = b""
        await self.send({"type": "http.response.body", "body": reply.body})
        if reply.after:
            transport.write(reply.after)

    async def _part(self, body: bytes) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": True})

    async def _wait_for_disconnect(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._disconnected(), seconds)
        except TimeoutError:
            return

    async def _disconnected(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _abort(self) -> None:
        """End the connection with a TCP reset, and wait until the server has noticed."""
        transport: asyncio.Transport = self.scope["state"]["transport"]
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await self._disconnected()
