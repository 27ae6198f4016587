"""Time zones by name. A district's own decides which calendar day it is there. Pure."""

from datetime import tzinfo
from zoneinfo import ZoneInfo

from airflow_provider_clever.exceptions import CleverSettingsError


def zone_named(name: str) -> tzinfo:
    """Give the zone of an IANA name.

    :raises CleverSettingsError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CleverSettingsError(f"{name!r} is no time zone; write it like America/Chicago.") from None


def zone_name(zone: tzinfo) -> str:
    """Give a zone's IANA name; ``UTC`` if it has none."""
    return str(getattr(zone, "key", None) or getattr(zone, "name", None) or "UTC")
