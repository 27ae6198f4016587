"""From one page to the next: finds the next link, follows it only within its question, and notices loops."""

import re
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.links import Links, cursor_in, page_links
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.api.self_links import SelfLinkCheck, check_self_link, narrowed_parts
from airflow_provider_clever.exceptions import CleverProtocolError

_SMALL_PAGE_BYTES: Final = 4096
_ERROR_FIELDS: Final = ("error", "errors", "message")
"""Where an answer without rows says that something went wrong."""
_ADDRESS: Final = re.compile("[!-~]*")
"""No blank, line break or letter beyond ASCII."""
_QUERY: Final = re.compile("[!$-~]+")
"""The same without a quote or ``#``: what stands behind the ``?`` of an address."""


class PageMatch(StrEnum):
    """Whether a page is taken for the answer to what was asked."""

    CONFIRMED = "confirmed"
    """It is."""
    UNCONFIRMED = "unconfirmed"
    """It is empty, and does not say in full to what, or that more follows: taken when it comes again."""
    MISMATCHED = "mismatched"
    """It names another question: even if it comes again, nothing may be concluded from what it lacks."""


class PageCheck(NamedTuple):
    """What a page is worth.

    :param match: whether it answers the question.
    :param self_link: how its ``self`` link compares with the question.
    """

    match: PageMatch
    self_link: SelfLinkCheck


CheckPage: TypeAlias = Callable[[bytes], PageCheck]
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

    def check(self, body: bytes) -> PageCheck:
        """Say whether a page may be taken for the one that was asked for last. Nothing is remembered.

        :param body: the page that came.
        :raises UnreadableBodyError: it is not JSON.
        :raises CleverProtocolError: it is no page of this walk, as :meth:`advance` says.
        """
        links, is_empty = self._looked_at(body)
        self._following(links)
        found = check_self_link(links.own, self._request)
        if found.contradicted:
            return PageCheck(PageMatch.MISMATCHED, found)
        if links.own is None and links.next is None and not is_empty and _is_paged(self._request):
            raise CleverProtocolError(
                f"Clever sent rows for {self._request.path} on a page without any link, so nothing says whether more"
                " follow. What had landed is intact; run again, and report it if it stays."
            )
        is_odd = is_empty and (links.next is not None or not found.is_full)
        return PageCheck(PageMatch.UNCONFIRMED if is_odd else PageMatch.CONFIRMED, found)

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
        left = narrowed_parts(request.query, self._question)
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


def _place(query: str) -> str:
    """Name the place in the walk that a query asks for; one name for all spellings of a cursor."""
    cursor = cursor_in(query)
    return unquote(query) if cursor is None else f"after {unquote(cursor)}"
