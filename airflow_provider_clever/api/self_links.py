"""Does an answer answer the question? Compares what its ``self`` link names with what was asked.

A proxy's cache, or an answer that nobody asked for on a kept connection, can give one question the answer to another.
Such an answer looks like any page; its ``self`` link alone shows it (clever-api.md 3.3). Values are compared, not
texts, and only where both sides have them: how Clever writes its links may change, and that must not stop every pull.
"""

import re
import threading
from collections import defaultdict
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.attendance.values import date_from_text, moment_from_text

_SEVERAL: Final = 2
"""How many questions must be answered alike before it is Clever that writes its links differently, and no mishap."""


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

    :param agreed: the parts that both name alike.
    :param contradicted: the parts that both name, and differently.
    :param is_full: whether every part of the question is among those that agree.
    """

    agreed: frozenset[Part]
    contradicted: frozenset[Part]
    is_full: bool


def check_self_link(own_link: str | None, request: Request) -> SelfLinkCheck:
    """Compare a page's ``self`` link with the request that the page came for.

    :param own_link: the link; None: the page has none.
    """
    asked = _parts(request.path, request.query)
    try:
        link = urlsplit(own_link or "")
        named = _parts(link.path, link.query)
    except ValueError:
        named = {}
    agreed = frozenset(part for part, value in asked.items() if named.get(part) == value)
    contradicted = {part for part, value in asked.items() if part in named and named[part] != value}
    if {Part.SUBJECT, Part.LIST} <= {*asked, *named}:
        contradicted.add(Part.SUBJECT)  # attendance for a list, or a list for attendance
    # The first page has no cursor, so this is another one; and a question without a status asks for all of them.
    contradicted |= {part for part in (Part.CURSOR, Part.STATUS) if part in named and part not in asked}
    return SelfLinkCheck(agreed, frozenset(contradicted), is_full=len(agreed) == len(asked) and not contradicted)


def narrowed_parts(query: str, question: Request) -> frozenset[Part]:
    """Give the parts of a question that a next link's query asks otherwise: it would lead to fewer rows, or others.

    :param query: the link's.
    :param question: the walk's first request.
    """
    asked, following = (_parts(question.path, text) for text in (question.query, query))
    narrowed = {part for part in (Part.START, Part.END) if part in following and following[part] != asked.get(part)}
    is_filtered = Part.STATUS in following and following[Part.STATUS] != asked.get(Part.STATUS)
    return frozenset(narrowed | ({Part.STATUS} if is_filtered else set()))


class SelfLinkHistory:
    """Which parts of questions one client's answers have named rightly, and which not. For all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agreed: set[Part] = set()
        self._questions: defaultdict[Part, set[str]] = defaultdict(set)

    def note(self, found: SelfLinkCheck, question: str) -> None:
        """Remember how an answer that is believed, or that came again and again, compares with its question."""
        if found.agreed <= self._agreed and not found.contradicted:
            return
        with self._lock:
            self._agreed |= found.agreed
            for part in found.contradicted:
                self._questions[part].add(question)

    @property
    def is_systematic(self) -> bool:
        """Tell whether every part that an answer has named otherwise is one that no answer names as asked."""
        return self.are_systematic(frozenset(self._questions))

    def are_systematic(self, parts: frozenset[Part]) -> bool:
        """Tell whether no answer at all names these parts as asked, so that Clever writes them differently now."""
        with self._lock:
            return all(part not in self._agreed and len(self._questions[part]) >= _SEVERAL for part in parts)


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
    """Give the parts that an address names, as values that can be compared; those that cannot be read are left out."""
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
    """Give one spelling for a cursor: of base64, with or without escapes and padding."""
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
