"""Next links: found without parsing, followed only within their question, never in a circle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_clever.api.bodies import UnreadableBodyError
from airflow_provider_clever.api.links import cursor_in, page_links
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.api.paging import Walk
from airflow_provider_clever.exceptions import CleverProtocolError

PATH = "/v3.1/attendance/schools/s1"
FILTERS = "date_range_start=2026-01-05&date_range_end=2026-01-09&limit=1000"
FIRST = Request("https://api.clever.com", PATH, FILTERS)
ROW = {"student_id": "a" * 24, "excuse_code": "x"}


def link_to(cursor: str, path: str = PATH) -> str:
    return f"{path}?{FILTERS}&starting_after={cursor}"


def page(link: str | None, rows: list[Any] | None = None, **dumps: Any) -> bytes:
    links = [{"rel": "self", "uri": PATH}] + ([{"rel": "next", "uri": link}] if link is not None else [])
    links.append({"rel": "prev", "uri": f"{PATH}?ending_before=x"})
    return json.dumps({"data": [ROW] if rows is None else rows, "links": links}, **dumps).encode()


def advanced(walk: Walk, body: bytes) -> Request | None:
    walk.check(body)
    return walk.advance()


def next_link_of(body: bytes) -> str | None:
    return page_links(body).next


def by_parsing(body: bytes) -> str | None:
    links = json.loads(body).get("links") or []
    return next((link["uri"] for link in links if link["rel"] == "next"), None)


# --- finding --------------------------------------------------------------------------------------------------------


def test_the_link_is_found_however_the_page_is_written() -> None:
    for body in (
        page(link_to("abc==")),
        page(link_to("abc=="), separators=(",", ":")),
        page(link_to("abc=="), indent=2) + b"\n",
        page(link_to("abc==")).replace(b"&", rb"\u0026"),  # as Go writes it
        json.dumps({"links": [{"rel": "next", "uri": link_to("abc==")}], "data": [ROW]}).encode(),
        json.dumps({"data": None, "links": [{"rel": "next", "uri": link_to("abc==")}]}).encode(),
        json.dumps({"data": [ROW], "links": [{"rel": "next", "uri": link_to("abc==")}], "zz": 1}).encode(),
        page(link_to("abc=="), rows=[{"code": "\ud83d"}]),
    ):
        assert next_link_of(body) == link_to("abc==")


def test_the_last_page_has_none() -> None:
    for body in (page(None), b'{"data":[]}', b'{"data":[],"links":null}', b'{"data":[],"links":[]}', b'{"links":[]}'):
        assert next_link_of(body) is None


TRAPS: list[Any] = [
    '],"links":[{"rel":"next","uri":"/evil"}]}',
    '"links"',
    '\\"links\\":[{"rel":"next"',
    [{"links": [{"rel": "next", "uri": "/evil"}]}],
    {"data": [], "links": [{"rel": "next", "uri": "/evil"}]},
]


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize(
    "order", [("data", "links"), ("links", "data"), ("links", "zz", "data"), ("data", "links", "zz")]
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_link_inside_a_row_is_never_taken(trap: Any, order: tuple[str, ...], indent: int | None) -> None:
    envelope = {
        "data": [{"excuse_code": trap}, [], trap],
        "links": [{"rel": "self", "uri": "x"}, {"rel": "next", "uri": "/right"}],
        "zz": [trap],
    }
    assert next_link_of(json.dumps({name: envelope[name] for name in order}, indent=indent).encode()) == "/right"
    del envelope["links"]
    assert next_link_of(json.dumps({name: envelope[name] for name in order if name != "links"}).encode()) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(TRAPS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["links", "data", "rel", "uri", "a"]), inner)
    ),
    max_leaves=12,
)
LINKS = st.lists(
    st.fixed_dictionaries(
        {"rel": st.sampled_from(["self", "next", "prev"]), "uri": st.text() | st.sampled_from(TRAPS[:3])}
    ),
    max_size=3,
)


@given(
    st.lists(JSON, max_size=4),
    LINKS,
    st.permutations(["data", "links", "zz"]),
    st.integers(1, 3),
    st.sampled_from([None, 2]),
)
@example([{"links": [{"rel": "next", "uri": "x"}]}], [], ["data", "zz", "links"], 1, None)
def test_the_tail_says_what_a_full_parse_says(
    rows: list[Any], links: list[Any], order: list[str], names: int, indent: int | None
) -> None:
    envelope = {"data": rows, "links": links, "zz": rows}
    body = json.dumps({name: envelope[name] for name in order[:names] if name in envelope}, indent=indent).encode()
    if b'"data"' in body or b'"links"' in body:
        try:
            assert next_link_of(body) == by_parsing(body)
        except CleverProtocolError:
            assert "data" not in json.loads(body)
            assert "links" not in json.loads(body)


@given(st.integers(1, 400))
def test_a_page_that_is_cut_anywhere_is_never_a_last_page(cut: int) -> None:
    body = page(link_to("abc=="), rows=[ROW] * 3)
    with pytest.raises(UnreadableBodyError):
        next_link_of(body[: -min(cut, len(body) - 1)])


@pytest.mark.parametrize(
    "links", ['["x"]', '[{"rel":"next"}]', '[{"rel":"next","uri":5}]', "5", '{"rel":"next"}'], ids=str
)
def test_links_of_another_shape_are_an_error(links: str) -> None:
    with pytest.raises(CleverProtocolError):
        next_link_of(f'{{"data":[1],"links":{links}}}'.encode())


@pytest.mark.parametrize("data", ['"x"', "{}", "5"])
def test_a_page_without_a_list_of_data_is_never_a_last_page(data: str) -> None:
    with pytest.raises(CleverProtocolError):
        next_link_of(f'{{"data":{data},"links":[]}}'.encode())


def test_a_tail_alone_is_no_page() -> None:
    with pytest.raises(UnreadableBodyError):
        next_link_of(b'xx],"links":[{"rel":"next","uri":"/x"}]}')


# --- following ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["MjAyNi0wMQ==", "MjAyNi0wMQ%3D%3D", "a%2fb%2Bc"])
def test_a_cursor_is_passed_on_byte_for_byte(cursor: str) -> None:
    request = advanced(Walk(FIRST), page(link_to(cursor)))
    assert request is not None
    assert request.url == f"https://api.clever.com{PATH}?{FILTERS}&starting_after={cursor}"


@pytest.mark.parametrize("prefix", ["", "https://api.clever.com"])
def test_a_link_may_be_relative_or_name_the_host(prefix: str) -> None:
    request = advanced(Walk(FIRST), page(prefix + link_to("a")))
    assert request is not None
    assert request.origin == "https://api.clever.com"


def test_only_a_missing_link_ends_a_walk() -> None:
    walk = Walk(FIRST)
    assert advanced(walk, page(link_to("a"), rows=[])) is not None
    assert advanced(walk, page(link_to("b"))) is not None
    assert advanced(walk, page(link_to("c"), rows=[])) is not None
    assert advanced(walk, page(None, rows=[])) is None


def test_a_walk_never_moves_on_from_a_page_that_it_has_not_checked() -> None:
    walk = Walk(FIRST)
    with pytest.raises(RuntimeError, match="check the page"):
        walk.advance()
    assert advanced(walk, page(link_to("a"))) is not None
    with pytest.raises(RuntimeError, match="check the page"):
        walk.advance()


def test_one_empty_page_after_another_is_an_error() -> None:
    walk = Walk(FIRST)
    advanced(walk, page(link_to("a"), rows=[]))
    with pytest.raises(CleverProtocolError, match="one empty page after another"):
        advanced(walk, page(link_to("b"), rows=[]))


@pytest.mark.parametrize("spelling", ["abc==", "abc%3D%3D", "abc%3d="])
def test_the_same_cursor_twice_is_a_loop(spelling: str) -> None:
    walk = Walk(FIRST)
    advanced(walk, page(link_to("abc==")))
    advanced(walk, page(link_to("other")))
    with pytest.raises(CleverProtocolError, match="read already") as caught:
        advanced(walk, page(link_to(spelling)))
    assert "abc" not in str(caught.value)


def test_a_link_back_to_the_first_page_is_a_loop() -> None:
    with pytest.raises(CleverProtocolError, match="read already"):
        advanced(Walk(FIRST), page(f"{PATH}?{FILTERS}"))
    begun = Request("https://api.clever.com", PATH, f"{FILTERS}&starting_after=abc%3D%3D")
    with pytest.raises(CleverProtocolError, match="read already"):
        advanced(Walk(begun), page(link_to("abc==")))


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example" + link_to("CANARY"),
        "http://api.clever.com" + link_to("CANARY"),
        "ftp://api.clever.com" + link_to("CANARY"),
        "//evil.example" + link_to("CANARY"),
        "https://api.clever.com@evil.example" + link_to("CANARY"),
        "https://me:pw@api.clever.com" + link_to("CANARY"),
        "https://api.clever.com:444" + link_to("CANARY"),
        "https://api.clever.com.evil.example" + link_to("CANARY"),
        "\\\\evil.example" + link_to("CANARY"),
        "/\\evil.example" + link_to("CANARY"),
        link_to("CANARY", "/v3.1/attendance/schools/s2"),
        link_to("CANARY", "/v3.1/attendance/schools/s1/../s2"),
        link_to("CANARY", "/oauth/tokens"),
        link_to("CANARY") + "#fragment",
        link_to("CANARY") + "\r\nHost: evil.example",
        link_to("CANARY é"),
        "\thttps://evil.example",
        "https://[evil/" + link_to("CANARY"),
        PATH,
        "",
    ],
)
def test_a_link_that_leaves_its_question_is_never_followed(link: str) -> None:
    with pytest.raises(CleverProtocolError) as caught:
        advanced(Walk(FIRST), page(link))
    assert "CANARY" not in str(caught.value)
    assert "evil" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text())
def test_no_link_leads_elsewhere(link: str) -> None:
    try:
        request = advanced(Walk(FIRST), page(link))
    except CleverProtocolError:
        return
    assert request is not None
    assert request.url.startswith(f"https://api.clever.com{PATH}?")


def test_the_cursor_of_a_query() -> None:
    assert cursor_in(f"{FILTERS}&starting_after=abc==") == "abc=="
    assert cursor_in(FILTERS) is None
    assert cursor_in("starting_after=") is None
