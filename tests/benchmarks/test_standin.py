"""What is measured against must be true: all rows, in Clever's order, and a limit that refuses."""

import json
from urllib.parse import parse_qsl

import pytest

from tests.benchmarks.standin import ROWS_A_DAY, Account, Standin, attendance_page, page_paths, school_id

pytestmark = pytest.mark.benchmarks

FIRST_DAY, LAST_DAY = "2026-10-01", "2026-10-05"  # Thursday to Monday


def page_at(address: str) -> dict[str, list[dict[str, str]]]:
    path, _, query = address.partition("?")
    page: dict[str, list[dict[str, str]]] = json.loads(attendance_page(path, dict(parse_qsl(query))))
    return page


def walked(address: str) -> list[tuple[str, dict[str, list[dict[str, str]]]]]:
    pages = []
    following: str | None = address
    while following:
        page = page_at(following)
        pages.append((following, page))
        following = next((link["uri"] for link in page["links"] if link["rel"] == "next"), None)
    return pages


def test_following_the_links_gives_every_row_once_in_the_order_of_the_cursor() -> None:
    pages = walked(next(page_paths(school_id(0), FIRST_DAY, LAST_DAY)))
    keys = [
        (row["attendance_date"], row["student_id"], row.get("section_id", "0" * 24))
        for _, page in pages
        for row in page["data"]
    ]
    assert len(keys) == 3 * ROWS_A_DAY
    assert keys == sorted(set(keys))
    assert {date for date, _, _ in keys} == {"2026-10-01", "2026-10-02", "2026-10-05"}


def test_the_links_known_beforehand_are_those_that_the_pages_give() -> None:
    assert [address for address, _ in walked(next(page_paths(school_id(1), FIRST_DAY, LAST_DAY)))] == [
        *page_paths(school_id(1), FIRST_DAY, LAST_DAY)
    ]


def test_a_school_looks_the_same_at_every_call_and_unlike_the_next() -> None:
    address = next(page_paths(school_id(0), FIRST_DAY, LAST_DAY))
    assert page_at(address) == page_at(address)
    assert page_at(address)["data"] != page_at(address.replace(school_id(0), school_id(1)))["data"]


def test_a_page_is_rendered_once_and_kept_under_its_whole_address() -> None:
    standin = Standin()
    first, second, *_ = page_paths(school_id(0), FIRST_DAY, LAST_DAY)
    (path, _, asked), (_, _, following) = first.partition("?"), second.partition("?")
    kept = standin.body(path, dict(parse_qsl(asked)))
    assert kept == attendance_page(path, dict(parse_qsl(asked)))
    assert standin.body(path, dict(parse_qsl(asked))) is kept
    assert standin.body(path, dict(parse_qsl(following))) == attendance_page(path, dict(parse_qsl(following)))


def test_a_spent_window_refuses_and_says_when_it_ends() -> None:
    account = Account(limit=2, window_seconds=60)
    assert [account.admit(connection) for connection in (1, 1, 2)] == [True, True, False]
    assert (account.requests, account.refused, len(account.connections)) == (3, 1, 2)
    assert b"X-Ratelimit-Remaining: 0\r\n" in account.headers()
