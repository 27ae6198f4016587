"""A client as plain as can be: it asks, and it follows next links."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from airflow_provider_clever.sandbox.testing import Sandbox

RANGE = {"date_range_start": "2026-11-09", "date_range_end": "2026-11-20"}
Row = dict[str, Any]


def ask(sandbox: Sandbox, path: str, token: str | None = None, **params: Any) -> requests.Response:
    """Send one GET with a bearer token (default: the small district's; empty: none)."""
    token = sandbox.district("small").token if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with requests.Session() as session:
        session.trust_env = False
        url = f"{sandbox.url}{path}"
        return session.get(url, params=params, headers=headers, timeout=10, allow_redirects=False)


def links(answer: requests.Response) -> dict[str, str]:
    """Give the links of a page by their rel."""
    return {link["rel"]: link["uri"] for link in answer.json().get("links") or []}


def cursor_of(uri: str) -> str:
    """Give the cursor in a link."""
    params = parse_qs(urlsplit(uri).query)
    return (params.get("starting_after") or params["ending_before"])[0]


def walk(sandbox: Sandbox, path: str, token: str | None = None, **params: Any) -> tuple[list[Row], list[int]]:
    """Follow next links to the end; gives all rows, and how many each page had."""
    token = sandbox.district("small").token if token is None else token
    rows: list[Row] = []
    sizes: list[int] = []
    uri: str | None = path
    with requests.Session() as session:
        session.trust_env = False
        while uri is not None:
            url = f"{sandbox.url}{uri}"
            answer = session.get(url, params=params, headers={"Authorization": f"Bearer {token}"}, timeout=10)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            rows += page["data"]
            sizes.append(len(page["data"]))
            uri, params = links(answer).get("next"), {}
            assert len(sizes) < 2_000, "the walk does not end"
    return rows, sizes


def attendance(school_id: str) -> str:
    """Give the path of a school's attendance."""
    return f"/v3.1/attendance/schools/{school_id}"


def school(sandbox: Sandbox, name: str, district: str = "small") -> str:
    """Give the id of a school by the first word of its name."""
    return next(i for full, i in sandbox.district(district).schools.items() if full.startswith(name))


def key(row: Row) -> tuple[str, str, str, str]:
    """Give a row's place in the documented order (clever-api.md 3.2)."""
    return row["attendance_date"], row["student_id"], row.get("section_id", "0" * 24), row["school_id"]
