"""Answers that were not asked for: before the right one, after it, or instead of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from .answers import Answer, compact
from .faults import Fault, Received
from .world import World

Answering = Callable[[Received], Answer]
EARLY_HINTS = 103


def informational(answer: Answer, fault: Fault) -> Answer:
    """Put a 1xx answer before the right one; a client that takes it for the answer reads the right one too late."""
    status = fault.status if 100 <= fault.status < 200 else EARLY_HINTS
    answer.before = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
    return answer


def stray(world: World, received: Received, fault: Fault, answering: Answering) -> Answer:
    """Send one more complete answer on the connection, ``before`` the right one or ``after`` it."""
    right = answering(received)
    unasked = _raw(answering(other(world, received, fault)) if _is_other(fault) else _empty_page(received))
    return replace(right, before=unasked) if fault.place == "before" else replace(right, after=unasked)


def other(world: World, received: Received, fault: Fault) -> Received:
    """Give the request that the fault has answered instead: of another school, or with another query."""
    parts = received.path.split("/")
    if len(parts) > 4 and parts[3] == "schools":
        parts[4] = fault.other_school_id or (parts[4] if fault.other_query else _neighbour(world, parts[4]))
    return replace(received, path="/".join(parts), query=fault.other_query or received.query)


def _is_other(fault: Fault) -> bool:
    return bool(fault.other_school_id or fault.other_query)


def _neighbour(world: World, school_id: str) -> str:
    """Give another shared school of the same district, if there is one."""
    school = world.schools.get(school_id)
    shared = world.districts[school.district_id].shared_schools() if school else []
    return next((one.id for one in shared if one.id != school_id), school_id)


def _empty_page(received: Received) -> Answer:
    uri = f"{received.path}?{received.query}" if received.query else received.path
    return Answer(200, compact({"data": [], "links": [{"rel": "self", "uri": uri}]}))


def _raw(answer: Answer) -> bytes:
    """Write an answer as it stands on the wire."""
    head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    if answer.content_type:
        head.append(f"Content-Type: {answer.content_type}")
    head += [f"{name}: {text}" for name, text in answer.headers]
    head.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + answer.body
