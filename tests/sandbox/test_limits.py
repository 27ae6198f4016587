"""The rate limit: a fixed window per Authorization value, rejected requests uncounted (clever-api.md 4)."""

from __future__ import annotations

import time

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.sandbox.wire import RANGE, ask, attendance, school


def test_a_spent_window_answers_429_with_an_empty_body_and_four_headers(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=3)
    path = attendance(school(sandbox, "Elm"))
    remaining = [ask(sandbox, path, **RANGE).headers["X-Ratelimit-Remaining"] for _ in range(3)]
    assert remaining == ["2", "1", "0"]
    before = time.time()
    answer = ask(sandbox, path, **RANGE)
    assert (answer.status_code, answer.content) == (429, b"")
    assert answer.headers["X-Ratelimit-Bucket"] == "bearer"
    assert answer.headers["X-Ratelimit-Limit"] == "3"
    assert answer.headers["X-Ratelimit-Remaining"] == "0"
    assert int(answer.headers["X-Ratelimit-Reset"]) <= before + 60
    assert not {"Retry-After", "Content-Type"} & set(answer.headers)


def test_rejected_requests_cost_nothing_and_the_window_ends(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=2, window_seconds=3600.0)
    statuses = [ask(sandbox, "/v3.1/districts").status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    sandbox.end_windows()
    assert ask(sandbox, "/v3.1/districts").status_code == 200
    first, second = sandbox.windows()
    assert (first["used"], first["rejected"], first["limit"]) == (2, 3, 2)
    assert (second["used"], second["rejected"]) == (1, 0)


def test_a_window_ends_by_itself(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=1, window_seconds=0.05)
    for _ in range(3):
        assert ask(sandbox, "/v3.1/districts").status_code == 200
        time.sleep(0.06)
    assert [window["used"] for window in sandbox.windows()] == [1, 1, 1]


def test_each_token_has_a_window_of_its_own_and_roster_calls_count_too(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=1)
    both = sandbox.district("both").token
    assert ask(sandbox, "/v3.1/schools").status_code == 200
    assert ask(sandbox, "/v3.1/schools", both).status_code == 200
    assert ask(sandbox, attendance(school(sandbox, "Elm")), **RANGE).status_code == 429
    assert len(sandbox.windows()) == 2


def test_wrong_tokens_and_errors_are_counted_and_carry_the_headers(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/v3.1/districts", "wrong").headers["X-Ratelimit-Remaining"] == "1199"
    assert ask(sandbox, "/v3.1/schools/nothing").headers["X-Ratelimit-Remaining"] == "1199"


def test_the_token_list_and_the_control_routes_are_not_limited(sandbox: Sandbox) -> None:
    sandbox.knobs(rate_limit=1)
    for _ in range(3):
        assert ask(sandbox, "/oauth/tokeninfo").status_code == 200
        assert sandbox.overview()
    assert sandbox.windows() == []
