"""The statement itself: a sound OpenAPI document, served as it is, with a page that asks nobody else for anything."""

from __future__ import annotations

import re

import pytest
import requests
from openapi_spec_validator import validate

from airflow_provider_clever.sandbox.routes import ROUTES
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.contract.statement import DOCUMENT

OF_THE_TOKENS_HOST = {"/oauth/tokens", "/oauth/tokeninfo"}
FOR_USER_TOKENS = {"/v3.1/me", "/v3.0/me"}
"""Served for the sake of the texts that tell a user token apart; of no use to a pull (clever-api.md 1.4)."""


def test_the_statement_is_sound_openapi() -> None:
    validate(DOCUMENT)


def test_the_sandbox_serves_the_statement_to_anyone_and_does_not_count_it(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/openapi.json", timeout=10)
    assert answer.json() == DOCUMENT
    assert answer.headers["Content-Type"] == "application/json"
    assert sandbox.counters()["total"] == 0


def test_the_page_names_every_endpoint_and_parameter_and_loads_nothing(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/docs", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert not re.findall(
        r"<script|<link|<img|<iframe|@import|url\(|src=|https?://(?!api\.clever\.com|clever\.com)", answer.text
    )
    for path in DOCUMENT["paths"]:
        assert f"GET {path}" in answer.text
    for name in DOCUMENT["components"]["parameters"].values():
        assert f"<td>{name['name']}</td>" in answer.text


def test_every_endpoint_that_the_sandbox_serves_is_stated_and_the_other_way_round() -> None:
    served = {re.sub(r"\(\[\^/\]\+\)", "{}", pattern.pattern) for pattern in ROUTES}
    stated = {re.sub(r"\{[a-z_]+\}", "{}", path) for path in DOCUMENT["paths"]}
    assert served - FOR_USER_TOKENS == stated - OF_THE_TOKENS_HOST


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v3.1/districts", "/oauth/tokens", "/v3.1/attendance/schools/x"])
def test_other_verbs_are_refused_and_told_which_one_is_allowed(sandbox: Sandbox, method: str, path: str) -> None:
    answer = requests.request(method, f"{sandbox.url}{path}", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
