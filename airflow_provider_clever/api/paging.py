"""From one page to the next: follows a next link only within its question, and detects loops."""

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
"""Fields by which a page without rows reports an error."""
_ADDRESS: Final = re.compile("[!-~]*")
"""Printable ASCII without blanks or line breaks."""
_QUERY: Final = re.compile("[!$-~]+")
"""The same without a quote or ``#``: the query of an address."""


class PageMatch(StrEnum):
    """Whether a page answers the request."""

    CONFIRMED = "confirmed"
    """Its links fit the request."""
    UNCONFIRMED = "unconfirmed"
    """It is empty, and either its ``self`` link is incomplete or it has a next link: accepted if it comes again."""
    MISMATCHED = "mismatched"
    """Its ``self`` link names another question. Even if it comes again, nothing may be concluded from what it lacks."""


class PageCheck(NamedTuple):
    """What the check of a page found.

    :param match: whether the page answers the request.
    :param self_link: how its ``self`` link compares with the request.
    """

    match: PageMatch
    self_link: SelfLinkCheck


class _Checked(NamedTuple):
    """What a walk keeps of the page that it checked last.

    :param following: the request for the page after it; None if it is the last.
    :param is_empty: whether it had no rows.
    """

    following: Request | None
    is_empty: bool


CheckPage: TypeAlias = Callable[[bytes], PageCheck]
"""Decides from a page's bytes whether it answers the request."""


class Walk:
    """Follows the pages of one question, and refuses a next link that would leave it.

    :param request: the first request.
    """

    def __init__(self, request: Request) -> None:
        self._question = request
        self._request = request
        self._seen = {_place(request.query)}
        self._was_empty = False
        self._checked: _Checked | None = None

    def check(self, body: bytes) -> PageCheck:
        """Check whether a page answers the last request. The walk does not move.

        :param body: the page.
        :raises UnreadableBodyError: it is not JSON.
        :raises CleverProtocolError: it is not a page of this walk; or its next link leaves the question or the host,
            repeats itself, or leads from one empty page to another.
        """
        links, is_empty = self._looked_at(body)
        self._checked = _Checked(self._following(links), is_empty)
        found = check_self_link(links.own, self._request)
        if found.conflicting:
            return PageCheck(PageMatch.MISMATCHED, found)
        if links.own is None and links.next is None and not is_empty and _is_paged(self._request):
            raise CleverProtocolError(
                f"Clever sent rows for {self._request.path} on a page without any link, so nothing says whether more"
                " follow. What had landed is intact; run again, and report it if it stays."
            )
        is_unsure = is_empty and (links.next is not None or not found.is_complete)
        return PageCheck(PageMatch.UNCONFIRMED if is_unsure else PageMatch.CONFIRMED, found)

    def advance(self) -> Request | None:
        """Move on from the page that was checked last, which answered the last request.

        Only a missing next link ends a walk; an empty page does not (clever-api.md 3.3).

        :return: the request for the next page; None if this page is the last.
        :raises RuntimeError: no page was checked since the walk moved last.
        """
        if self._checked is None:
            raise RuntimeError("check the page that answered the request first")
        request, self._was_empty = self._checked
        self._checked = None
        if request is not None:
            self._seen.add(_place(request.query))
            self._request = request
        return request

    def _looked_at(self, body: bytes) -> tuple[Links, bool]:
        """Read a page's links, and see whether it is empty."""
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
        changed = narrowed_parts(request.query, self._question)
        if changed:
            raise CleverProtocolError(
                f"Clever's next link for {request.path} asks for another {', '.join(sorted(changed))} than this walk;"
                " it was not followed. What had landed is intact; run again, and report it if it stays."
            )
        if _place(request.query) in self._seen:
            raise CleverProtocolError(
                f"Clever's next link for {request.path} leads back to a page that was read already."
                " Run again, and report it if it stays."
            )
        return request


def _is_paged(request: Request) -> bool:
    """Tell whether a list can have several pages. The token's district and the list of tokens come as one."""
    return "limit=" in request.query


def _query_of(link: str, request: Request) -> str:
    """Give the query of a link to the same endpoint of the same host, byte for byte.

    :raises CleverProtocolError: the link leads elsewhere. The token is not sent there.
    """
    path, mark, query = link.partition("?")
    if path == request.path and mark and _QUERY.fullmatch(query):
        return query  # as Clever writes it (clever-api.md 3.3)
    try:
        # urlsplit drops blanks and line breaks silently, so a link with any of them is refused first.
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
    """Name the place in the walk that a query leads to, however its cursor is escaped."""
    cursor = cursor_in(query)
    return unquote(query) if cursor is None else f"after {unquote(cursor)}"
