"""Plays a plan against a script of answers: no clock, no socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.messages import Pause, Plan, Request, Response
from airflow_provider_clever.exceptions import CleverError, CleverTransportError

PAGE = b'{"data":[{"id":"d1"}],"links":[{"rel":"self","uri":"/"}]}'
WALL = 1_800_000_000.0
CALM = RetryPolicy(random=lambda: 0.5, wall_clock=lambda: WALL)


def reply(status: int = 200, body: bytes = PAGE, **headers: str) -> Response:
    """Make an answer; header names in Python's spelling."""
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def reply_json(value: Any, status: int = 200) -> Response:
    """Make an answer that holds this value."""
    return reply(status, json.dumps(value).encode())


def tokens_reply(**token_of_district: str) -> Response:
    """Make an answer of /oauth/tokens (clever-api.md 1.3)."""
    data = [
        {"id": f"t{number}", "created": "2026-01-02T03:04:05.678Z", "owner": {"type": "district", "id": district}}
        | {"access_token": token, "scopes": ["read:sis"]}
        for number, (district, token) in enumerate(token_of_district.items())
    ]
    return reply_json({"data": data, "links": [{"rel": "self", "uri": "/oauth/tokens?owner_type=district"}]})


SILENCE = CleverTransportError("No answer from Clever: it fell silent. Run again later.")


@dataclass
class Played:
    """What a plan did: what it asked, how it waited, and what came of it."""

    asked: list[Request] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    result: Any = None
    error: CleverError | None = None

    @property
    def paths(self) -> list[str]:
        """Give what was asked, in short."""
        return [request.path for request in self.asked]

    @property
    def names(self) -> list[str]:
        """Give in whose name it was asked."""
        return [request.authorization for request in self.asked]


def play(plan: Plan[Any], script: Iterable[Response | CleverTransportError]) -> Played:
    """Answer a plan's requests in order; every answer of the script must be used."""
    played, answers = Played(), iter(script)
    try:
        step = next(plan)
        while True:
            if isinstance(step, Pause):
                played.pauses.append(step)
                step = plan.send(None)
                continue
            played.asked.append(step)
            answer = next(answers, None)
            assert answer is not None, f"not in the script: {step}"
            step = plan.throw(answer) if isinstance(answer, CleverTransportError) else plan.send(answer)
    except StopIteration as done:
        played.result = done.value
    except CleverError as error:
        played.error = error
    assert next(answers, None) is None, "the plan ended before the script"
    return played
