"""From an Airflow connection to Clever."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_clever.exceptions import CleverAuthError, CleverError, CleverNotFoundError, CleverSettingsError
from airflow_provider_clever.models import AttendanceRecord, District, School, Section
from airflow_provider_clever.settings import CleverSettings

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_clever.api.async_client import AsyncCleverClient
    from airflow_provider_clever.api.client import CleverClient


class CleverHook(BaseHook):
    """Reads districts, schools, sections and attendance from Clever, as the connection says.

    Making a hook costs nothing: the connection is looked up when something is asked for.

    :param clever_conn_id: the connection. Default ``clever_default``.
    :param district_id: the district that is meant. Default: the connection's own, else the only one connected.
    """

    conn_name_attr = "clever_conn_id"
    default_conn_name = "clever_default"
    conn_type = "clever"
    hook_name = "Clever"

    def __init__(self, clever_conn_id: str = default_conn_name, district_id: str | None = None) -> None:
        super().__init__()
        self.clever_conn_id = clever_conn_id
        self.district_id = district_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Describe the standard fields to Airflow 3.1; newer ones read the provider's metadata."""
        from airflow_provider_clever.hooks.form import field_behaviour

        return field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Describe the extra fields to Airflow 3.1; newer ones read the provider's metadata."""
        from airflow_provider_clever.hooks.form import form_widgets

        return form_widgets()

    def get_settings(self) -> CleverSettings:
        """Read the settings from the connection, and keep its secret out of the logs.

        :raises CleverSettingsError: naming every field of the connection that is wrong.
        """
        from airflow_provider_clever.compat import get_connection

        connection = get_connection(self.clever_conn_id)
        _Fields.of(connection)  # Airflow takes extra fields that cannot be read for none at all
        settings = CleverSettings.from_connection(connection, self.district_id)
        keep_out_of_logs(settings.token or settings.client_secret or "")
        return settings

    def get_conn(self) -> "CleverClient":
        """Make a client; use it in a ``with`` block. Nothing is sent yet.

        :raises CleverSettingsError: naming every field of the connection that is wrong.
        """
        from airflow_provider_clever.api.client import CleverClient

        return CleverClient(self.get_settings(), on_token=keep_out_of_logs)

    async def aget_conn(self) -> "AsyncCleverClient":
        """Make a client for an event loop; use it in an ``async with`` block. Nothing is sent yet.

        :raises CleverSettingsError: naming every field of the connection that is wrong.
        """
        # A synchronous look-up here can leave a task hanging for ever; this helper knows how each Airflow does it. It
        # masks the secret as well.
        from airflow_provider_clever.api.async_client import AsyncCleverClient
        from airflow_provider_clever.compat import get_async_connection

        fields = _Fields.of(await get_async_connection(self.clever_conn_id))
        settings = CleverSettings.from_connection(fields, self.district_id)
        return AsyncCleverClient(settings, on_token=keep_out_of_logs_soon)

    def list_districts(self) -> list[District]:
        """List every connected district, each as it is now.

        :raises CleverError: see :mod:`airflow_provider_clever.exceptions`; so do all methods below.
        """
        with self.get_conn() as client:
            return client.list_districts()

    def get_district(self) -> District:
        """Get the district as it is now, such as its ``last_attendance_sync``."""
        with self.get_conn() as client:
            return client.get_district()

    def iter_schools(self) -> Iterator[School]:
        """Iterate over the schools that the district shares."""
        with self.get_conn() as client:
            yield from client.iter_schools()

    def iter_sections(self, school_id: str | None = None) -> Iterator[Section]:
        """Iterate over the sections that the district shares.

        :param school_id: only this school's. Default: all.
        """
        with self.get_conn() as client:
            yield from client.iter_sections(school_id)

    def iter_attendance(
        self,
        *,
        date_range_start: date | str,
        date_range_end: date | str,
        school_id: str | None = None,
        section_id: str | None = None,
        attendance_status: str | None = None,
    ) -> Iterator[AttendanceRecord]:
        """Iterate over attendance, in order of date, student and section; one page is in memory at a time.

        :param date_range_start: first day, included; a date or ``YYYY-MM-DD``.
        :param date_range_end: last day, included; a date or ``YYYY-MM-DD``.
        :param school_id: the school; or
        :param section_id: the section. Exactly one of the two.
        :param attendance_status: ``present``, ``absent`` or ``tardy``. Default: all of them.
        :raises CleverSettingsError: the question is wrong; raised here, not with the first record.
        :raises CleverDataError: after the last usable record, if there were rows that are not usable.
        """
        from airflow_provider_clever.api.endpoints import AttendanceQuery

        query = AttendanceQuery(
            school_id=school_id,
            section_id=section_id,
            date_range_start=date_range_start,
            date_range_end=date_range_end,
            attendance_status=attendance_status,
        )

        def records() -> Iterator[AttendanceRecord]:
            with self.get_conn() as client:
                yield from client.iter_attendance(query)

        return records()

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether attendance can be read over this connection; if not, why, and what to do.

        Airflow shows the text as it is, so it holds no secret.
        """
        try:
            return True, _found_by(self.get_settings())
        except CleverError as error:
            return False, str(error)


def keep_out_of_logs(secret: str) -> None:
    """Have Airflow mask a secret in whatever it logs from now on."""
    from airflow.sdk.log import mask_secret

    mask_secret(secret)


_MASKING: set[asyncio.Task[None]] = set()


def keep_out_of_logs_soon(secret: str) -> None:
    """Do the same from an event loop: masking may wait for the supervisor, which the loop must not."""
    task = asyncio.get_running_loop().create_task(asyncio.to_thread(keep_out_of_logs, secret))
    _MASKING.add(task)
    task.add_done_callback(_MASKING.discard)


def _found_by(settings: CleverSettings) -> str:
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.api.exchange import RetryPolicy

    # Somebody is waiting in front of a form.
    brisk = replace(settings, connect_timeout_seconds=5.0, read_timeout_seconds=15.0, response_timeout_seconds=20.0)
    policy = RetryPolicy(
        attempts=2, unreadable_attempts=2, confirming_attempts=2, refused_attempts=1, patience_seconds=2.0
    )
    with CleverClient(brisk, policy=policy, on_token=keep_out_of_logs) as client:
        if settings.district_id is None and (connected := len(client.district_ids())) > 1:
            return (
                f"Client id and secret work; {connected} districts are connected. Name one of them in the district_id "
                "of each task, or in this connection, where testing then looks at its attendance too."
            )
        district = client.get_district()
        schools = _schools_with_attendance(client, district)
    shown = f"{district.name or 'District'} ({district.id})"
    if not schools:
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


def _schools_with_attendance(client: "CleverClient", district: District) -> bool:
    """Tell whether there is a school, and ask for one row of its attendance.

    :raises CleverSettingsError: the school is shared, but its attendance is refused.
    """
    from airflow_provider_clever.api.endpoints import AttendanceQuery

    school = next(client.iter_schools(), None)
    if school is None:
        return False
    today = datetime.now(UTC).date()
    query = AttendanceQuery(school_id=school.id, date_range_start=today - timedelta(days=14), date_range_end=today)
    try:
        client.attendance_page(query, limit=1)
    except (CleverAuthError, CleverNotFoundError) as error:
        # Clever publishes no scope to look for (clever-api.md O1); what it refuses is the only sign.
        raise CleverSettingsError(
            f"District {district.id} is connected and its schools can be read, but not its attendance (Clever answered "
            f"{error.status}). Ask your contact at Clever to enable attendance for this app and district."
        ) from None
    return True


@dataclass(slots=True)
class _Fields:
    """A connection's fields, read without the synchronous masking that ``Connection.extra_dejson`` does."""

    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None = field(repr=False)
    extra_dejson: Mapping[str, Any]

    @classmethod
    def of(cls, connection: "Connection") -> "_Fields":
        try:
            extra = json.loads(connection.extra or "{}")
        except (ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            raise CleverSettingsError("The Clever connection cannot be used. Its extra field is no JSON object.")
        return cls(connection.host, connection.schema, connection.port, connection.login, connection.password, extra)
