"""What the sandbox sends back: envelopes, error bodies, and how an answer is delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Delivery(StrEnum):
    """How the bytes of an answer reach the client."""

    WHOLE = "whole"
    RESET = "reset_mid_body"
    CLOSE = "close"
    HANG = "timeout"
    SLOW = "slow_bytes"
    REFUSE = "refuse"


@dataclass(slots=True)
class Answer:
    """One HTTP answer.

    :param seconds: How long a slow or hanging delivery takes.
    :param delay_seconds: How long the client waits for the first byte.
    :param before: Bytes that go out ahead of the answer, unasked.
    :param after: Bytes that go out behind it, unasked.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    delivery: Delivery = Delivery.WHOLE
    seconds: float = 0.0
    delay_seconds: float = 0.0
    before: bytes = b""
    after: bytes = b""


class RefusalError(Exception):
    """A request that is answered with an error status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def compact(value: object) -> bytes:
    """Write JSON the short way, text as UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def error(status: int, message: str, content_type: str = "text/plain") -> Answer:
    """Write an error as Go's ``http.Error`` does: JSON and a newline, labelled as text (clever-api.md 5)."""
    label = "text/plain; charset=utf-8" if content_type == "text/plain" else JSON
    body = compact({"message": message}) + b"\n"
    return Answer(status, body, label, [("X-Content-Type-Options", "nosniff")])


def html(status: int) -> Answer:
    """Write the HTML page that an edge or an unknown route answers with."""
    reason = HTTPStatus(status).phrase
    page = f"<!DOCTYPE html><html><head><title>{status} {reason}</title></head><body><h1>{reason}</h1></body></html>"
    return Answer(status, page.encode(), HTML)


def empty(status: int) -> Answer:
    """Write a status alone, as Clever's rate-limit proxy does."""
    return Answer(status, b"", "")


def in_style(status: int, style: str, message: str | None = None) -> Answer:
    """Write an error whose body is ``json``, ``html`` or ``empty``."""
    if style == "html":
        return html(status)
    return empty(status) if style == "empty" else error(status, message or HTTPStatus(status).phrase)
