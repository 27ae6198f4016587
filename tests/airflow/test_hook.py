"""The hook: an Airflow connection in, Clever's answers out."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

import airflow_provider_clever
from airflow_provider_clever.compat import AirflowNotFoundException
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.clever import CleverHook
from airflow_provider_clever.sandbox.testing import Sandbox

MADE_UP_SECRET = "s3cret-canary-0123456789"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Callable[..., CleverHook]:
    """Defines the connection, by default the sandbox's for one district, and gives a hook of it."""

    def define(district: str | None = "small", mode: str = "client", **fields: object) -> CleverHook:
        defined = json.loads(sandbox.connection_json(district, mode))
        extra = {**defined["extra"], **fields.pop("extra", {})}
        monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", json.dumps({**defined, **fields, "extra": extra}))
        return CleverHook()

    return define


@pytest.mark.parametrize("extra", ["[]", "5", '"text"', "null", "{"])
def test_extra_fields_that_are_no_json_object_are_told_and_not_taken_for_none(
    connection: Callable[..., CleverHook], monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    connection()
    defined = json.loads(os.environ["AIRFLOW_CONN_CLEVER_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_CLEVER_DEFAULT", json.dumps({**defined, "extra": extra}))
    error, message = CleverSettingsError, "extra field is no JSON object"
    if refused_by_airflow():
        error, message = AirflowNotFoundException, "`clever_default` isn't defined"
    with pytest.raises(error, match=message):
        CleverHook().get_district()
    with pytest.raises(error, match=message):
        asyncio.run(CleverHook().aget_conn())


def refused_by_airflow() -> bool:
    """Tell whether Airflow itself gives no such connection, and says why in its log, as the 3.1s do."""
    try:
        return ensure_secrets_backend_loaded()[0].get_connection("clever_default") is None
    except ValueError:
        return True


# --- what it reads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["client", "token"])
def test_everything_that_the_hook_reads(connection, sandbox: Sandbox, mode):
    hook = connection("small", mode)
    small = sandbox.district("small")
    assert hook.get_district().id == small.id
    assert small.id in {district.id for district in hook.list_districts()}
    assert {school.id for school in hook.iter_schools()} == set(small.school_ids)
    school_id = small.school_ids[0]
    sections = {section.id for section in hook.iter_sections()}
    assert {section.id for section in hook.iter_sections(school_id)} < sections
    days = {"date_range_start": "2026-11-16", "date_range_end": "2026-11-20"}
    found = list(hook.iter_attendance(school_id=school_id, **days))
    due = sandbox.expected("small", school_id=school_id, **days)
    assert [(str(row.attendance_date), row.student_id, row.section_id, row.attendance_status) for row in found] == [
        (row["attendance_date"], row["student_id"], row.get("section_id"), row["attendance_status"]) for row in due
    ]
    assert found


def test_the_hooks_district_wins_over_the_connections(connection, sandbox: Sandbox):
    connection("small")
    large = sandbox.district("large").id
    assert CleverHook(district_id=large).get_district().id == large


def test_single_pages_take_the_apis_own_parameters(connection, sandbox: Sandbox):
    from airflow_provider_clever.api.endpoints import AttendanceQuery

    hook = connection()
    query = AttendanceQuery(
        school_id=sandbox.district("small").school_ids[0], date_range_start="2026-11-16", date_range_end="2026-11-20"
    )
    with hook.get_conn() as client:
        first = client.attendance_page(query, limit=3)
        second = client.attendance_page(query, limit=3, starting_after=first.next_cursor)
    assert len(first.rows) == len(second.rows) == 3
    due = sandbox.expected("small", school_id=query.school_id, date_range_start=query.start, date_range_end=query.end)
    assert [row["student_id"] for row in (*first.rows, *second.rows)] == [row["student_id"] for row in due[:6]]


def test_the_async_client_finds_the_same_district(connection, sandbox: Sandbox):
    hook = connection()

    async def ask() -> str:
        async with await hook.aget_conn() as client:
            return (await client.get_district()).id

    assert asyncio.run(ask()) == sandbox.district("small").id


@pytest.mark.parametrize(
    "question",
    [
        {"school_id": "../x"},
        {},
        {"school_id": "65cc00000000000000000001", "section_id": "65dd00000000000000000001"},
        {"school_id": "65cc00000000000000000001", "date_range_start": "2026-11-21"},
        {"school_id": "65cc00000000000000000001", "date_range_end": None},
        {"school_id": "65cc00000000000000000001", "attendance_status": "late"},
    ],
)
def test_a_wrong_question_is_refused_before_anything_is_sent(connection, sandbox: Sandbox, question):
    hook = connection()
    with pytest.raises(CleverSettingsError):
        hook.iter_attendance(**{"date_range_start": "2026-11-20", "date_range_end": "2026-11-20", **question})
    assert sandbox.requests() == []


# --- testing the connection -----------------------------------------------------------------------------------------


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def never_set_up(sandbox: Sandbox) -> None:
    pass


def synced_never(sandbox: Sandbox) -> None:
    sandbox.set_stamp("small", None)


def rotated(sandbox: Sandbox) -> None:
    sandbox.rotate_token("small")


def disconnected(sandbox: Sandbox) -> None:
    sandbox.connect("small", connected=False)


def withheld(sandbox: Sandbox) -> None:
    sandbox.knobs(attendance_withheld=True, attendance_withheld_status=403)


def withheld_as_not_found(sandbox: Sandbox) -> None:
    sandbox.knobs(attendance_withheld=True, attendance_withheld_status=404)


def nothing_shared(sandbox: Sandbox) -> None:
    for school_id in sandbox.district("small").school_ids:
        sandbox.share(school_id, shared=False)


def broken(sandbox: Sandbox) -> None:
    sandbox.fault("status", status=503, times=100)


@pytest.mark.parametrize(
    ("define", "prepare", "works", "says"),
    [
        ({}, never_set_up, True, ["Connected to", "last synced at 2026-11-"]),
        ({"mode": "token"}, never_set_up, True, ["Connected to", "last synced at 2026-11-"]),
        ({"district": None}, never_set_up, True, ["districts are connected", "Name one of them"]),
        ({}, synced_never, True, ["never synced any", "Ask it to add attendance"]),
        ({}, nothing_shared, True, ["shares no school", "Ask the district to share"]),
        ({}, rotated, True, ["Connected to"]),
        ({"password": MADE_UP_SECRET}, never_set_up, False, ["refuses the client id and secret", "Copy both again"]),
        ({"mode": "token", "password": MADE_UP_SECRET}, never_set_up, False, ["refuses the token", "current token"]),
        ({"mode": "token"}, rotated, False, ["refuses the token", "current token"]),
        (
            {"mode": "token", "extra": {"district_id": "65bb0000000000000000beef"}},
            never_set_up,
            False,
            ["district 65bb0000000000000000beef was asked for", "Put the right token"],
        ),
        ({}, disconnected, False, ["is not connected", "has authorised the app"]),
        ({}, withheld, False, ["but not its attendance", "(Clever answered 403)", "enable attendance"]),
        ({"mode": "token"}, withheld_as_not_found, False, ["but not its attendance", "enable attendance"]),
        ({"login": "", "password": f"il{MADE_UP_SECRET}"}, never_set_up, False, ["signed-in user", "district's token"]),
        ({"password": ""}, never_set_up, False, ["password: empty", "client secret"]),
        ({}, broken, False, ["Clever answered 503", "status.clever.com"]),
    ],
    ids=[
        "works with client id and secret",
        "works with a token",
        "several districts, none chosen",
        "never synced",
        "no school shared",
        "rotated, and found again through client id and secret",
        "wrong client secret",
        "wrong token",
        "rotated token",
        "token of another district",
        "district not connected",
        "attendance not enabled",
        "attendance not enabled, told by 404",
        "user token",
        "no password",
        "Clever has trouble",
    ],
)
def test_testing_a_connection_says_what_is_wrong_and_what_to_do(
    connection, sandbox: Sandbox, define, prepare, works, says
):
    hook = connection(**define)  # with the token as it was before the preparation
    password = hook.get_connection("clever_default").password
    prepare(sandbox)
    found, message = hook.test_connection()
    assert (found, [part for part in says if part not in message]) == (works, []), message
    secrets = {password, MADE_UP_SECRET, sandbox.client_secret, *(d.token for d in sandbox.districts.values())}
    assert [secret for secret in secrets if secret and secret in message] == []


@pytest.mark.parametrize("field", ["host", "auth_base"])
def test_a_host_that_nobody_answers_at_is_named(connection, field):
    url = f"http://127.0.0.1:{refused_port()}"
    hook = connection(**({"host": url} if field == "host" else {"extra": {field: url}}))
    found, message = hook.test_connection()
    assert not found
    assert f"no connection to {url}" in message
    assert "the connection's host" in message


# --- what it costs --------------------------------------------------------------------------------------------------

HEAVY = ("requests", "aiohttp", "pyarrow")


def imported_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


def test_what_a_dag_file_imports_of_us_imports_nothing_heavy():
    package = Path(airflow_provider_clever.__file__).parent
    folders = ("hooks", "operators", "sensors", "triggers", "dags")
    files = [file for folder in folders for file in (package / folder).glob("*.py")]
    files.append(package / "windows.py")
    modules = [".".join(file.relative_to(package.parent).with_suffix("").parts) for file in sorted(files)]
    assert "airflow_provider_clever.hooks.clever" in modules
    code = "; ".join(f"import {module}" for module in modules)
    assert imported_by(code) == imported_by("import airflow.sdk")


def test_a_connection_that_nobody_has_made_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_CLEVER_DEFAULT", raising=False)
    with pytest.raises(AirflowNotFoundException, match="`clever_default` isn't defined"):
        CleverHook().get_district()
    with pytest.raises(AirflowNotFoundException, match="`clever_default` isn't defined"):
        asyncio.run(CleverHook().aget_conn())


def test_making_a_hook_looks_nothing_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_CLEVER_DEFAULT", raising=False)
    assert CleverHook("no_such_connection", district_id="not-looked-at-yet").clever_conn_id == "no_such_connection"
