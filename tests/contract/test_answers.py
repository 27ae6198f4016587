"""Every answer of the sandbox is one that the statement describes, whatever the district and the knobs."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.contract.statement import DOCUMENT, problems, resolved
from tests.sandbox.wire import RANGE, ask, links

CHARACTERS = ("small", "section_only", "no_section_id", "no_attendance", "paused")


def schema_of(path: str, status: int) -> dict[str, Any] | None:
    """Give the schema that the statement has for the body of an answer; None: it has no body."""
    answer = resolved(DOCUMENT["paths"][path]["get"]["responses"][str(status)])
    contents = list(answer.get("content", {}).values())
    return contents[0]["schema"] if contents else None


def assert_stated(answer: requests.Response, path: str) -> Any:
    schema = schema_of(path, answer.status_code)
    if schema is None:
        assert answer.content == b""
        return None
    assert problems(schema, answer.json()) == []
    return answer.json()


def walked(sandbox: Sandbox, token: str, path: str, uri: str, **params: Any) -> list[dict[str, Any]]:
    """Walk a list to its end, each page compared with the statement."""
    items: list[dict[str, Any]] = []
    for _ in range(200):
        answer = ask(sandbox, uri, token, **params)
        items += assert_stated(answer, path)["data"]
        if "next" not in links(answer):
            return items
        uri, params = links(answer)["next"], {}
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_district_answers_as_stated_from_the_list_to_the_last_record(sandbox: Sandbox, character: str) -> None:
    district = sandbox.district(character)
    token = district.token
    assert_stated(ask(sandbox, "/v3.1/districts", token), "/v3.1/districts")
    assert_stated(ask(sandbox, f"/v3.1/districts/{district.id}", token), "/v3.1/districts/{id}")
    assert_stated(ask(sandbox, "/oauth/tokeninfo", token), "/oauth/tokeninfo")
    for kind in ("schools", "sections", "users", "events"):
        items = walked(sandbox, token, f"/v3.1/{kind}", f"/v3.1/{kind}", limit=40)
        for item in items[:3]:
            assert_stated(ask(sandbox, f"/v3.1/{kind}/{item['data']['id']}", token), f"/v3.1/{kind}/{{id}}")
    for school in district.school_ids[:2]:
        walked(sandbox, token, "/v3.1/schools/{id}/users", f"/v3.1/schools/{school}/users", limit=30)
        sections = walked(sandbox, token, "/v3.1/schools/{id}/sections", f"/v3.1/schools/{school}/sections")
        path = "/v3.1/attendance/schools/{school_id}"
        walked(sandbox, token, path, f"/v3.1/attendance/schools/{school}", limit=300, **RANGE)
        for section in sections[:1]:
            uri = f"/v3.1/attendance/sections/{section['data']['id']}"
            walked(sandbox, token, "/v3.1/attendance/sections/{section_id}", uri, limit=300)


def test_the_token_list_is_as_stated(sandbox: Sandbox) -> None:
    auth = (sandbox.client_id, sandbox.client_secret)
    listed = requests.get(f"{sandbox.url}/oauth/tokens?owner_type=district", auth=auth, timeout=10)
    assert len(assert_stated(listed, "/oauth/tokens")["data"]) == len(sandbox.districts)
    for refused in (
        requests.get(f"{sandbox.url}/oauth/tokens?owner_type=user", auth=auth, timeout=10),
        requests.get(f"{sandbox.url}/oauth/tokens", auth=("a", "b"), timeout=10),
    ):
        assert_stated(refused, "/oauth/tokens")


@pytest.mark.parametrize(
    "knobs",
    [
        {"empty_data": "null"},
        {"pause_dates": "date", "never_synced": "missing"},
        {"include_clever_id": True, "colliding_keys": True},
        {"next_link": "short_pages_too"},
        {"rows_withheld_schools": ["*"], "unlisted_schools": ["small"]},
        {"gzip": True, "rate_headers": "two_buckets", "stamp_replicas": 2},
    ],
    ids=lambda knobs: next(iter(knobs)),
)
def test_the_other_answers_to_open_questions_are_within_the_statement_too(
    sandbox: Sandbox, knobs: dict[str, Any]
) -> None:
    sandbox.knobs(**knobs)
    for character in ("small", "no_section_id", "no_attendance", "paused"):
        district = sandbox.district(character)
        assert_stated(ask(sandbox, "/v3.1/districts", district.token), "/v3.1/districts")
        assert_stated(ask(sandbox, "/v3.1/schools", district.token), "/v3.1/schools")
        answer = ask(sandbox, f"/v3.1/attendance/schools/{district.school_ids[0]}", district.token, **RANGE)
        assert_stated(answer, "/v3.1/attendance/schools/{school_id}")


def test_refusals_are_as_stated(sandbox: Sandbox) -> None:
    elm = sandbox.district("small").school_ids[0]
    path, uri = "/v3.1/attendance/schools/{school_id}", f"/v3.1/attendance/schools/{elm}"
    statuses = []
    for params, token in (({"limit": 0}, None), ({}, "wrong"), ({}, "")):
        answer = ask(sandbox, uri, token, **params)
        assert_stated(answer, path)
        statuses.append(answer.status_code)
    gone = ask(sandbox, "/v3.1/attendance/schools/nowhere")
    assert_stated(gone, path)
    sandbox.knobs(rate_limit=1)
    ask(sandbox, uri)
    spent = ask(sandbox, uri)
    assert_stated(spent, path)
    too_large = ask(sandbox, "/v3.1/schools", sandbox.district("both").token, limit=10_001)
    assert_stated(too_large, "/v3.1/schools")
    assert [*statuses, gone.status_code, spent.status_code, too_large.status_code] == [400, 401, 401, 404, 429, 413]
