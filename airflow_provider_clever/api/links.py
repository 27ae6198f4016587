"""The links of a page: the one place that finds them, for walks and for single pages (clever-api.md 3.3)."""

import json
from typing import Any, Final, NamedTuple

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.exceptions import CleverProtocolError

_TAIL_BYTES: Final = 4096


class Links(NamedTuple):
    """The addresses that a page links to, as Clever wrote them; None where the page has no such link.

    :param own: its ``self`` link: the question that the page says it answers.
    :param next: the page after it.
    :param prev: the page before it.
    """

    own: str | None
    next: str | None
    prev: str | None


def page_links(body: bytes) -> Links:
    """Give the links of a page.

    Usually this reads only the last bytes. They are used only if the page ends with ``], "links": [...] }``: in JSON,
    that can only be the end of the outermost object. Otherwise the whole page is parsed.

    :raises UnreadableBodyError: the page is not JSON.
    :raises CleverProtocolError: it is JSON but not a page.
    """
    found = _links_in_tail(body[-_TAIL_BYTES:])
    if found is not None and body.lstrip()[:1] == b"{":
        return links_of(found)
    value, _ = read_json(body)
    return links_of(page_object(value).get("links"))


def _links_in_tail(tail: bytes) -> list[Any] | None:
    # Only `],` may precede the name. If that `]` were inside a string, the name's first quote would end the string and
    # leave a bare word, which is not JSON; after the list, only the outermost object can end.
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
    """Give the links that a page lists under ``links`` (clever-api.md 3.3).

    :raises CleverProtocolError: an entry is not a link, or the next link has no address.
    """
    found: dict[str, str] = {}
    for link in links or []:
        if not isinstance(link, dict):
            raise CleverProtocolError("Clever sent a link that is none. Report it.")
        name, address = link.get("rel"), link.get("uri")
        if name == "next" and not isinstance(address, str):
            raise CleverProtocolError("Clever sent a next link without an address. Report it.")
        if isinstance(name, str) and isinstance(address, str):
            found.setdefault(name, address)
    return Links(*(found.get(name) for name in ("self", "next", "prev")))


def cursor_in(query: str, parameter: str = "starting_after") -> str | None:
    """Give a query's cursor, still escaped; None if it has none.

    :param query: the query, without ``?``.
    :param parameter: ``starting_after`` or ``ending_before``. Default ``starting_after``.
    """
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == parameter and value:
            return value
    return None
