"""Compares a page's ``self`` link with the request, to see whether the page answers what was asked.

A proxy's cache, or a late answer on a kept-alive connection, can answer one request with the page of another. Such a
page looks like any other; only its ``self`` link shows it (clever-api.md 3.3). Values are compared rather than texts,
and only where both sides name them: Clever may change how it writes links, and that must not stop every pull.
"""

import re
import threading
from collections import defaultdict
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.dates import date_from_text

_SEVERAL: Final = 2
"""How many questions must show the same conflict before it counts as Clever's new way to write links."""


class Part(StrEnum):
    """A part of a question that a ``self`` link may name."""

    SUBJECT = "school or section"
    LIST = "list"
    START = "first day"
    END = "last day"
    STATUS = "status"
    CURSOR = "place in the list"


class SelfLinkCheck(NamedTuple):
    """How a ``self`` link compares with the question.

    :param matching: the parts for which both name the same value.
    :param conflicting: the parts for which they name different values.
    :param is_complete: whether every part of the question matches, and none conflicts.
    """

    matching: frozenset[Part]
    conflicting: frozenset[Part]
    is_complete: bool


def check_self_link(own_link: str | None, request: Request) -> SelfLinkCheck:
    """Compare a page's ``self`` link with the request that it answers.

    :param own_link: the link; None if the page has none.
    :param request: the request.
    """
    asked = _parts(request.path, request.query)
    try:
        link = urlsplit(own_link or "")
        named = _parts(link.path, link.query)
    except ValueError:
        named = {}
    matching = frozenset(part for part, value in asked.items() if named.get(part) == value)
    conflicting = {part for part, value in asked.items() if part in named and named[part] != value}
    if {Part.SUBJECT, Part.LIST} <= {*asked, *named}:
        conflicting.add(Part.SUBJECT)  # attendance where a list was asked for, or the reverse
    # A question without a cursor asks for the first page, and one without a status for all of them.
    conflicting |= {part for part in (Part.CURSOR, Part.STATUS) if part in named and part not in asked}
    return SelfLinkCheck(matching, frozenset(conflicting), is_complete=len(matching) == len(asked) and not conflicting)


def narrowed_parts(query: str, question: Request) -> frozenset[Part]:
    """Give the parts in which a next link asks for less than the question, or for something else.

    :param query: the link's query.
    :param question: the walk's first request.
    """
    asked, following = (_parts(question.path, text) for text in (question.query, query))
    narrowed = {part for part in (Part.START, Part.END) if part in following and following[part] != asked.get(part)}
    is_filtered = Part.STATUS in following and following[Part.STATUS] != asked.get(Part.STATUS)
    return frozenset(narrowed | ({Part.STATUS} if is_filtered else set()))


class SelfLinkHistory:
    """Which parts of its questions a client's answers have matched so far, and which not. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._matched: set[Part] = set()
        self._questions: defaultdict[Part, set[str]] = defaultdict(set)

    def record(self, found: SelfLinkCheck, question: str) -> None:
        """Remember how an accepted page compares with its question."""
        if found.matching <= self._matched and not found.conflicting:
            return
        with self._lock:
            self._matched |= found.matching
            for part in found.conflicting:
                self._questions[part].add(question)

    @property
    def is_systematic(self) -> bool:
        """Tell whether every part that has conflicted is one that no answer matches."""
        return self.are_systematic(frozenset(self._questions))

    def are_systematic(self, parts: frozenset[Part]) -> bool:
        """Tell whether no answer matches these parts, so that Clever must have changed how it writes them."""
        with self._lock:
            return all(part not in self._matched and len(self._questions[part]) >= _SEVERAL for part in parts)


# --- the parts of a question ----------------------------------------------------------------------------------------

_SUBJECTS: Final = (
    re.compile(r"(?:^|/)(?P<list>attendance)/(?P<kind>schools|sections)/(?P<id>[^/]+)/?$"),
    re.compile(r"(?:^|/)(?P<kind>schools)/(?P<id>[^/]+)/(?P<list>sections)/?$"),
    re.compile(r"(?:^|/)(?P<list>districts|schools|sections|tokens)/?$"),
)
_PARAMETERS: Final = {
    "date_range_start": Part.START,
    "date_range_end": Part.END,
    "attendance_status": Part.STATUS,
    "starting_after": Part.CURSOR,
    "ending_before": Part.CURSOR,
}


def _parts(path: str, query: str) -> dict[Part, str]:
    """Give the parts that an address names, as comparable values. What cannot be read is left out."""
    parts = {}
    subject = _subject(path)
    if subject:
        parts[Part.SUBJECT if "attendance" in subject else Part.LIST] = subject
    for item in query.split("&"):
        name, _, text = item.partition("=")
        part = _PARAMETERS.get(name)
        if part is None or not text or part in parts:
            continue
        value = f"{name} {_cursor_value(text)}" if part is Part.CURSOR else _plain_value(part, text)
        if value:
            parts[part] = value
    return parts


@lru_cache(maxsize=1024)
def _subject(path: str) -> str | None:
    found = next(filter(None, (pattern.search(unquote(path)) for pattern in _SUBJECTS)), None)
    return " ".join(f"{name}={value}" for name, value in sorted(found.groupdict().items())) if found else None


def _cursor_value(text: str) -> str:
    """Give a cursor in one spelling: base64 may come escaped or not, padded or not, in either alphabet."""
    return unquote(text).rstrip("=").replace("-", "+").replace("_", "/").replace(" ", "+")


@lru_cache(maxsize=1024)
def _plain_value(part: Part, text: str) -> str | None:
    text = unquote(text)
    if part is Part.STATUS:
        return text
    for read in (date_from_text, lambda moment: moment_from_text(moment).date()):
        try:
            return read(text).isoformat()
        except ValueError:
            continue
    return None
