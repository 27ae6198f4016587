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
        if isinstance(name, str) and isinstance(address, str):
            found.setdefault(name, address)
    return Links(*(found.get(name) for name in ("self", "next", "prev")))


def cursor_in(query: str, parameter: str = "starting_after") -> str | None:
    """Give the cursor of a query as it stands there, or None."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == parameter and value:
            return value
    return None
