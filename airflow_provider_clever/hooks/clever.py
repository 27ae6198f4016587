"""The hook: reads from Clever over an Airflow connection."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.models import AttendanceRecord, District, School, Section
from airflow_provider_clever.settings import CleverSettings

if TYPE_CHECKING:
    import threading

    from airflow.sdk import Connection

    from airflow_provider_clever.api.async_client import AsyncCleverClient
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.api.exchange import RetryPolicy


class CleverHook(BaseHook):
    """Reads districts, schools, sections and attendance from Clever, as the connection says.

    Making a hook costs nothing: the connection is looked up when something is asked for.

    :param clever_conn_id: the connection. Default ``clever_default``.
    :param district_id: the district. Default: the connection's, else the only one that is connected.
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

        fields = _Fields.of(get_connection(self.clever_conn_id))
        settings = CleverSettings.from_connection(fields, self.district_id)
        keep_out_of_logs(settings.token or settings.client_secret or "")
        return settings

    def get_conn(
        self,
        *,
        policy: "RetryPolicy | None" = None,
        stop: "threading.Event | None" = None,
        page_limit: int = 1000,
        max_span_days: int | None = None,
    ) -> "CleverClient":
        """Make a client; use it in a ``with`` block. Nothing is sent yet.

        :param policy: how patient each request is. Default: 5 attempts, at most 10 minutes of waiting.
        :param stop: once it is set, every thread of the client stops at its next step. Default: one that is never set.
        :param page_limit: rows of a page of attendance, 1 to 1,000. Default 1,000; halved while a gateway gives up on
            it.
        :param max_span_days: days of one question; a longer one is asked in parts. Default: no limit; halved while
            Clever refuses the range.
        :raises CleverSettingsError: naming every field of the connection, or option, that is wrong.
        """
        from airflow_provider_clever.api.client import CleverClient

        return CleverClient(
            self.get_settings(),
            policy=policy,
            stop=stop,
            on_token=keep_out_of_logs,
            page_limit=page_limit,
            max_span_days=max_span_days,
        )

    async def aget_conn(self, *, policy: "RetryPolicy | None" = None) -> "AsyncCleverClient":
        """Make a client for an event loop; use it in an ``async with`` block. Nothing is sent yet.

        :param policy: how patient each request is. Default: 5 attempts, at most 10 minutes of waiting.
        :raises CleverSettingsError: naming every field of the connection that is wrong.
        """
        from airflow_provider_clever.compat import get_async_connection

        # A synchronous look-up here can leave a task hanging for ever; this helper knows how each Airflow does it. It
        # masks the connection's secret as well. Tokens that are found later are not given to Airflow's masker: it
        # compiles all its patterns with each, which takes half a minute of a triggerer for 500 districts, and nothing
        # here writes a token anywhere.
        fields = _Fields.of(await get_async_connection(self.clever_conn_id))
        settings = CleverSettings.from_connection(fields, self.district_id)
        # In a thread, because importing aiohttp takes 100 to 250 ms.
        driver = await asyncio.to_thread(import_module, "airflow_provider_clever.api.async_client")
        client: AsyncCleverClient = driver.AsyncCleverClient(settings, policy=policy)
        return client

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
        """Say whether attendance can be read over this connection; if not, why, and what to do.

        Airflow shows the text as it is, so it holds no secret.
        """
        from airflow_provider_clever.api.connection_check import brisk_client, check_connection

        try:
            with brisk_client(self.get_settings(), on_token=keep_out_of_logs) as client:
                return True, check_connection(client)
        except CleverError as error:
            return False, str(error)


def keep_out_of_logs(secret: str) -> None:
    """Have Airflow mask a secret in everything that it logs from now on."""
    from airflow.sdk.log import mask_secret

    mask_secret(secret)


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
