"""What a test of a connection finds at the sandbox; tests/airflow/test_hook.py asks the same through Airflow's hook."""

from collections.abc import Callable

import pytest

from airflow_provider_clever.api.connection_check import brisk_client, check_connection
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.integration.api.conftest import settings_for

FOUND = {
    "all is well": ("small", lambda sandbox: None, "was last synced at 2026-11-23 22:45 UTC"),
    "several districts, none named": (None, lambda sandbox: None, "districts are connected. Name one of them"),
    "never synced": ("no_attendance", lambda sandbox: None, "has never synced any"),
    "no school": ("small", lambda sandbox: sandbox.knobs(unlisted_schools=["*"]), "shares no school with this app"),
}


def check(sandbox: Sandbox, district: str | None) -> str:
    with brisk_client(settings_for(sandbox, district and sandbox.district(district).id)) as client:
        return check_connection(client)


@pytest.mark.parametrize(("district", "prepare", "says"), FOUND.values(), ids=FOUND)
def test_a_connection_that_works_says_what_pulls_will_find(
    sandbox: Sandbox, district: str | None, prepare: Callable[[Sandbox], object], says: str
) -> None:
    prepare(sandbox)
    sandbox.clear_requests()
    assert says in check(sandbox, district)
    assert sandbox.counters()["total"] <= 5


@pytest.mark.parametrize("status", [403, 404])
def test_attendance_that_is_refused_is_named(sandbox: Sandbox, status: int) -> None:
    small = sandbox.district("small").id
    sandbox.knobs(attendance_withheld=True, attendance_withheld_districts=[small], attendance_withheld_status=status)
    with pytest.raises(CleverSettingsError, match=f"but not its attendance .Clever answered {status}"):
        check(sandbox, "small")
