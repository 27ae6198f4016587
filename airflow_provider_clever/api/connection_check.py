"""Whether attendance can be read over a connection, in words: for Airflow's Test button and for the command line."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.exceptions import CleverAuthError, CleverNotFoundError, CleverSettingsError
from airflow_provider_clever.models import District
from airflow_provider_clever.settings import CleverSettings

_BRISK: Final = RetryPolicy(
    attempts=2, unreadable_attempts=2, confirming_attempts=2, refused_attempts=1, patience_seconds=2.0
)
_ASKED_DAYS: Final = 14


def brisk_client(settings: CleverSettings, on_token: Callable[[str], object] = lambda _: None) -> CleverClient:
    """Make a client for a person who waits: each request ends within a minute.

    :param settings: where Clever is, and as whom to ask.
    :param on_token: called with each token that the client looks up. Default: nothing is called.
    """
    brisk = replace(settings, connect_timeout_seconds=5.0, read_timeout_seconds=15.0, response_timeout_seconds=20.0)
    return CleverClient(brisk, policy=_BRISK, on_token=on_token)


def check_connection(client: CleverClient) -> str:
    """Say what pulls will find over a connection; it takes two to five requests. The text holds no secret.

    :param client: a client that has asked nothing yet.
    :raises CleverError: attendance cannot be read; the message says why, and what to do.
    """
    if client.settings.district_id is None and (connected := len(client.district_ids())) > 1:
        return name_a_district(connected)
    district = client.get_district()
    school_id = first_school_id(client)
    if school_id is not None:
        ask_for_a_row(client, district, school_id)
    return in_words(district, shares_schools=school_id is not None)


def name_a_district(connected: int) -> str:
    """Say that several districts are connected and none was named."""
    return (
        f"Client id and secret work; {connected} districts are connected. Name one of them in the district_id "
        "of each task, or in this connection, where testing then looks at its attendance too."
    )


def first_school_id(client: CleverClient) -> str | None:
    """Give the first school that the district shares; None: it shares none."""
    return next((school.id for school in client.iter_schools()), None)


def ask_for_a_row(client: CleverClient, district: District, school_id: str) -> None:
    """Ask for one row of a school's attendance of the last 14 days.

    :raises CleverSettingsError: the school is shared, but its attendance is refused.
    """
    today = datetime.now(UTC).date()
    query = AttendanceQuery(
        school_id=school_id, date_range_start=today - timedelta(days=_ASKED_DAYS), date_range_end=today
    )
    try:
        client.attendance_page(query, limit=1)
    except (CleverAuthError, CleverNotFoundError) as error:
        # Clever publishes no scope to look for (clever-api.md O1); what it refuses is the only sign.
        raise CleverSettingsError(
            f"District {district.id} is connected and its schools can be read, but not its attendance (Clever answered "
            f"{error.status}). Ask your contact at Clever to enable attendance for this app and district."
        ) from None


def in_words(district: District, *, shares_schools: bool) -> str:
    """Say what pulls of a district will find."""
    shown = f"{district.name or 'District'} ({district.id})"
    if not shares_schools:
        return (
            f"Connected to {shown}, but it shares no school with this app. Ask the district to share its schools in "
            "Clever's dashboard."
        )
    if district.last_attendance_sync is None:
        return (
            f"Connected to {shown}, and attendance is enabled, but the district has never synced any. Ask it to add "
            "attendance to its uploads; pulls find nothing until then."
        )
    return (
        f"Connected to {shown}. Its attendance was last synced at {district.last_attendance_sync:%Y-%m-%d %H:%M} UTC."
    )
