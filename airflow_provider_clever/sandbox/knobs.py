"""Every switch of the sandbox: what Clever's documents leave open (clever-api.md 9), and how the wire behaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date


@dataclass(frozen=True, slots=True)
class Knobs:
    """The sandbox's settings that can be changed while it runs; the defaults are clever-api.md 9.1's."""

    latency_ms: int = 0
    rate_limit: int = 1200
    window_seconds: float = 60.0
    rate_headers: str = "single"
    rate_header_case: str = "canonical"
    body_429: str = "empty"
    headers_on_429: bool = True
    retry_after_on_429: int = 0
    date_skew_seconds: int = 0
    gzip: bool = False
    error_content_type: str = "text/plain"
    attendance_withheld: bool = False
    attendance_withheld_status: int = 403
    attendance_withheld_districts: tuple[str, ...] = ()
    include_clever_id: bool = False
    colliding_keys: bool = False
    one_date: str = "reject"
    reversed_range: str = "reject"
    max_span_days: int = 0
    both_cursors: str = "reject"
    bad_cursor: str = "reject"
    default_limit: int = 100
    over_limit: str = "400"
    next_link: str = "when_full"
    empty_data: str = "list"
    empty_links: str = "self"
    unknown_school: str = "404"
    retired_section: str = "404"
    section_returns_daily: bool = False
    show_unshared_students: bool = False
    bad_token_status: int = 401
    bad_credentials_body: str = "json"
    duplicate_tokens: str = "off"
    pause_dates: str = "datetime"
    never_synced: str = "null"
    retention: str = "months"
    retention_months: int = 6
    retention_days: int = 183
    sync_stamp: str = "end"
    sync_stamp_on_no_change: bool = True
    sync_seconds: int = 300
    late_corrections: bool = True
    resend_bumps_last_modified: bool = False
    resend_days: int = 7
    sftp_outage_districts: tuple[str, ...] = ()
    clock_follows_wall: bool = False
    rows_withheld_schools: tuple[str, ...] = ()
    rows_withheld_days: tuple[str, ...] = ()
    rows_withheld_percent: int = 100
    unlisted_schools: tuple[str, ...] = ()
    unlisted_schools_attendance: str = "answers"
    rows_lag_seconds: int = 0
    stamp_replicas: int = 1
    gateway_most_rows: int = 0
    gateway_seconds: float = 0.0
    gateway_status: int = 504
    date_header: bool = True
    hold_answers: bool = False

    def changed(self, changes: Mapping[str, object]) -> Knobs:
        """Give a copy with some knobs turned.

        :raises ValueError: a knob does not exist or does not take that value.
        """
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})  # type: ignore[arg-type]  # each value was checked against the default's type

    def as_dict(self) -> dict[str, object]:
        """Give every knob with its value, ready for JSON."""
        return asdict(self)


CHOICES: dict[str, Sequence[object]] = {
    "rate_headers": ("single", "two_buckets", "none"),
    "rate_header_case": ("canonical", "documented"),
    "body_429": ("empty", "html", "json"),
    "error_content_type": ("text/plain", "application/json"),
    "attendance_withheld_status": (401, 403, 404),
    "one_date": ("reject", "open"),
    "reversed_range": ("reject", "empty"),
    "both_cursors": ("reject", "starting_after"),
    "bad_cursor": ("reject", "restart"),
    "over_limit": ("400", "413", "clamp"),
    "next_link": ("when_full", "exact", "short_pages_too"),
    "empty_data": ("list", "null", "missing"),
    "empty_links": ("self", "null", "missing"),
    "unknown_school": ("404", "empty"),
    "retired_section": ("404", "200"),
    "bad_token_status": (401, 403),
    "bad_credentials_body": ("json", "html", "empty"),
    "duplicate_tokens": ("off", "older_first", "newer_first"),
    "pause_dates": ("datetime", "date"),
    "never_synced": ("null", "missing"),
    "retention": ("months", "days", "off"),
    "sync_stamp": ("end", "start"),
    "unlisted_schools_attendance": ("answers", "404"),
    "rows_withheld_percent": range(101),
    "stamp_replicas": (1, 2),
    "gateway_status": (0, 502, 503, 504),
}

_DEFAULTS = Knobs()


def _checked(name: str, value: object) -> object:
    default = _DEFAULTS.as_dict().get(name)
    if default is None:
        raise ValueError(f"There is no knob {name!r}. GET /_sandbox/knobs lists them all.")
    if isinstance(default, tuple) and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        if name == "rows_withheld_days":
            for day in (day for item in value for day in item.split("/", 1)):
                date.fromisoformat(day)
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"Knob {name!r} takes a {type(default).__name__}, not a {type(value).__name__}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"Knob {name!r} takes one of {_listed(CHOICES[name])}, not {value!r}.")
    return value


def _listed(choices: Sequence[object]) -> object:
    return f"{choices[0]} to {choices[-1]}" if isinstance(choices, range) else list(choices)
