"""From one page to the next: finds the next link, follows it only within its question, and notices loops."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from airflow_provider_clever.api.belief import Agreement, agreement, left_by
from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.exceptions import CleverProtocolError

_TAIL_BYTES: Final = 4096
_SMALL_PAGE_BYTES: Final = 4096
_ERROR_FIELDS: Final = ("error", "errors", "message")
"""Where an answer without rows says that something went wrong."""
_ADDRESS: Final = re.compile("[!-~]*")
"""No blank, line break or letter beyond ASCII."""
_QUERY: Final = re.compile("[!$-~]+")
"""The same without a quote or ``#``: what stands behind the ``?`` of an address."""


class Links(NamedTuple):
    """What a page says of itself.

    :param own: address of its ``self`` link; None: it has none.
    :param next: address of its ``next`` link; None: it has none.
    """

    own: str | None
    next: str | None


def page_links(body: bytes) -> Links:
    """Give the links of a page.

    Usually reads the last bytes only. They are trusted only if they are exactly ``], "links": [...] }`` and the end:
    in a JSON document that is possible nowhere but at the end of the outermost object. Otherwise the page is parsed.

    :raises UnreadableBodyError: the page is not JSON.
    :raises CleverProtocolError: the page is not a page.
    """
    found = _links_in_tail(body[-_TAIL_BYTES:])
    if found is not None and body.lstrip()[:1] == b"{":
        return links_of(found)
    value, _ = read_json(body)
    return links_of(page_object(value).get("links"))


def _links_in_tail(tail: bytes) -> list[Any] | None:
    # Before the name only `],` may stand. Were that `]` inside a text, the name's first quote would end the text and
    # leave a bare word behind, which no JSON has; after the list, only the outermost object can end.
    before, name, after = tail.rpartition(b'"links"')
    head = before.rstrip()
    after = after.lstrip()
    end = after.rstrip()
    if not name or not head.endswith(b",") or not head[:-1].rstrip().endswith(b"]"):
        return None
    if not after.startswith(b":") or not end.endswith(b"}"):
        return None
    try:
        links = json.loads(end[1:-1])
    except (ValueError, RecursionError):
        return None
    return links if isinstance(links, list) else None


def links_of(links: list[Any] | None) -> Links:
    """Pick the links that matter out of a page's (clever-api.md 3.3).

    :raises CleverProtocolError: they are not links.
    """
    found: dict[str, str] = {}
    for link in links or []:
        if not isinstance(link, dict):
            raise CleverProtocolError("Clever sent a link that is none. Report it.")
        name, address = link.get("rel"), link.get("uri")
        if name == "next" and not isinstance(address, str):
            raise CleverProtocolError("Clever sent a next link without an address. Report it.")
        if name in ("self", "next") and isinstance(address, str):
            found.setdefault(name, address)
    return Links(found.get("self"), found.get("next"))


class Belief(StrEnum):
    """Whether a page is taken for the answer to what was asked."""

    SURE = "sure"
    """It is."""
    UNSURE = "unsure"
    """It is empty, and does not say in full to what, or that more follows: taken when it comes again."""
    STRAY = "stray"
    """It names another question: even if it comes again, nothing may be concluded from what it lacks."""


class Judgement(NamedTuple):
    """What a page is worth.

    :param belief: whether it answers the question.
    :param agreement: how its ``self`` link compares with the question.
    """

    belief: Belief
    agreement: Agreement


Judge: TypeAlias = Callable[[bytes], Judgement]
"""Says whether a page may be taken."""


class Walk:
    """Follows the pages of one question, and stops where following on would be wrong.

    :param request: the first request.
    """

    def __init__(self, request: Request) -> None:
        self._question = request
        self._request = request
        self._seen = {_place(request.query)}
        self._was_empty = False

    def judge(self, body: bytes) -> Judgement:
        """Say whether a page may be taken for the one that was asked for last. Nothing is remembered.

        :param body: the page that came.
        :raises UnreadableBodyError: it is not JSON.
        :raises CleverProtocolError: it is no page of this walk, as :meth:`advance` says.
        """
        links, is_empty = self._looked_at(body)
        self._following(links)
        found = agreement(links.own, self._request)
        if found.contradicted:
            return Judgement(Belief.STRAY, found)
        if links.own is None and links.next is None and not is_empty and _is_paged(self._request):
            raise CleverProtocolError(
                f"Clever sent rows for {self._request.path} on a page without any link, so nothing says whether more"
                " follow. What had landed is intact; run again, and report it if it stays."
            )
        is_odd = is_empty and (links.next is not None or not found.is_full)
        return Judgement(Belief.UNSURE if is_odd else Belief.SURE, found)

    def advance(self, body: bytes) -> Request | None:
        """Give the request for the page after this one, or None: this was the last.

        Only a missing link ends a walk; an empty page does not (clever-api.md 3.3).

        :param body: the page that the last request brought.
        :raises CleverProtocolError: the link leaves the question or the host, repeats itself, or leads from one
            empty page to another.
        """
        links, is_empty = self._looked_at(body)
        request = self._following(links)
        self._was_empty = is_empty
        if request is not None:
            self._seen.add(_place(request.query))
            self._request = request
        return request

    def _looked_at(self, body: bytes) -> tuple[Links, bool]:
        """The links of a page, and whether it is empty."""
        links = page_links(body)
        page = page_object(read_json(body)[0]) if len(body) <= _SMALL_PAGE_BYTES else None
        is_empty = page is not None and not page.get("data")
        if page is not None and is_empty and any(page.get(name) for name in _ERROR_FIELDS):
            raise CleverProtocolError(
                f"Clever answered 200 for {self._request.path} with an error in the place of rows. Nothing follows from"
                " it; run again, and see status.clever.com if it stays."
            )
        if links.next is not None and is_empty and self._was_empty:
            raise CleverProtocolError(
                f"Clever sent one empty page after another for {self._request.path}, each with a next link."
                " Nothing was lost; run again, and report it if it stays."
            )
        return links, is_empty

    def _following(self, links: Links) -> Request | None:
        if links.next is None:
            return None
        request = replace(self._request, query=_query_of(links.next, self._request))
        left = left_by(request.query, self._question)
        if left:
            raise CleverProtocolError(
                f"Clever's next link for {request.path} asks for another {', '.join(sorted(left))} than this walk; it"
                " was not followed. What had landed is intact; run again, and report it if it stays."
            )
        if _place(request.query) in self._seen:
            raise CleverProtocolError(
                f"Clever's next link for {request.path} leads back to a page that was read already."
                " Run again, and report it if it stays."
            )
        return request


def _is_paged(request: Request) -> bool:
    """Whether a list may have several pages. A token's one district, and the tokens, come on one."""
    return "limit=" in request.query


def _query_of(link: str, request: Request) -> str:
    """Give the query of a link that asks the same endpoint of the same host; it is passed on byte for byte.

    :raises CleverProtocolError: it asks anything else. The token is not sent there.
    """
    path, mark, query = link.partition("?")
    if path == request.path and mark and _QUERY.fullmatch(query):
        return query  # as Clever writes it (clever-api.md 3.3)
    try:
        # Blanks and line breaks would be dropped from an address without a word, so they end here.
        parts = urlsplit(urljoin(request.origin + request.path, link if _ADDRESS.fullmatch(link) else "http://["))
    except ValueError:
        raise CleverProtocolError(
            f"Clever sent a next link for {request.path} that is no address; it was not followed. Report it."
        ) from None
    if f"{parts.scheme}://{parts.netloc}" != request.origin:
        raise CleverProtocolError(
            f"Clever's next link for {request.path} leads to another host or scheme; the token was not sent there."
            " Check that the connection's host is the API's own address, then report it."
        )
    if parts.path != request.path or parts.fragment or not parts.query:
        raise CleverProtocolError(
            f"Clever's next link for {request.path} leads to another endpoint; it was not followed. Report it."
        )
    return parts.query


def cursor_in(query: str, parameter: str = "starting_after") -> str | None:
    """Give the cursor of a query as it stands there, or None."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == parameter and value:
            return value
    return None


def _place(query: str) -> str:
    """Name the place in the walk that a query asks for; one name for all spellings of a cursor."""
    cursor = cursor_in(query)
    return unquote(query) if cursor is None else f"after {unquote(cursor)}"
