"""Defines the Airflow assets of what landed: one for each district at a destination, and one for each table.

The tasks that emit events and the DAGs that are scheduled on them get the same assets here.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import quote

from airflow.sdk import Asset, AssetAlias

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.dates import DateRange, date_from_text, days_of, joined
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage.destination_url import KINDS, destination_url

LANDED_ALIAS: Final = "clever_attendance_landed"
"""The alias under which every pull emits events, for any district and destination."""

TABLE_ALIAS: Final = "clever_attendance_table"
"""The alias under which every table's task emits events."""


def landed_asset(destination: str, district_id: str) -> Asset:
    """Give the asset of a district's landed attendance: a DAG that is scheduled on it runs when days have changed.

    Two spellings of one place (``s3`` and ``s3a``, with or without a connection) give the same asset.

    :param destination: where attendance lands, as the pull has it, such as ``s3://aws_default@my-lake/clever``. No
        template: an asset is known when the DAG file is parsed.
    :param district_id: Clever's id of the district.
    :raises CleverSettingsError: the destination does not name one place, or the id is not one.
    """
    if not is_clever_id(district_id):
        raise CleverSettingsError("district_id is not Clever's id of a district: 1 to 64 of 0-9, A-Z, a-z, _ and -.")
    return _asset(destination, f"attendance/district={district_id}")


def table_asset(destination: str, table: str = "parquet") -> Asset:
    """Give the asset of the table that is made of all districts' landed attendance.

    :param destination: where attendance lands, as the table's task has it. No template.
    :param table: the kind of table, as the table's task has it. Default ``parquet``.
    :raises CleverSettingsError: the destination does not name one place.
    """
    return _asset(destination, "attendance_by_month" if table == "parquet" else f"attendance_table/{quote(table)}")


def asset_if_known(asset_of: Callable[..., Asset], *arguments: object) -> Asset | None:
    """Give an asset while a DAG is parsed. None: its arguments are templates, or wrong.

    :param asset_of: makes the asset, such as :func:`landed_asset`.
    :param arguments: its arguments, as the DAG's author wrote them.
    """
    try:
        return asset_of(*arguments)
    except CleverSettingsError:
        return None  # the task itself says what is wrong with them


def landed_alias() -> AssetAlias:
    """Give the alias of all landed attendance: a DAG that is scheduled on it runs for any district at any place."""
    return AssetAlias(LANDED_ALIAS)


def landed_days(events: Iterable[Any]) -> list[date]:
    """Give the attendance days that have changed according to events, each once, oldest first.

    :param events: such as ``triggering_asset_events[landed_asset(...)]``; events of other assets are ignored.
    :raises ValueError: something else emitted an event with this key, and its days cannot be read.
    """
    texts = [(getattr(event, "extra", None) or {}).get("changed_days") for event in events]
    return list(days_of(one for text in texts if text for one in ranges_from_text(text)))


# --- the days of an event --------------------------------------------------------------------------------------------


def text_of_ranges(ranges: Iterable[DateRange]) -> str:
    """Write ranges of days as one text, ``2026-11-16/2026-11-20 2026-11-23``."""
    # Text, and no list: Airflow 3.1 refuses lists in the event of an alias.
    return " ".join("/".join(sorted({*one.to_json()})) for one in joined(ranges))


def ranges_from_text(text: object) -> Sequence[DateRange]:
    """Read the text that :func:`text_of_ranges` wrote.

    :raises ValueError: it is no such text.
    """
    words = text.split() if isinstance(text, str) else [""]
    ends = [[date_from_text(end) for end in one.split("/")] for one in words]
    if any(len(one) > 2 for one in ends):
        raise ValueError("not a first and a last day")
    return [DateRange(one[0], one[-1]) for one in ends]


def _asset(destination: str, path: str) -> Asset:
    url = destination_url(destination, single_writer=True)  # the task decides which kinds of stores it accepts
    scheme = next((name for name, kind in KINDS.items() if kind is url.kind), url.scheme)
    place = f"{scheme}://{quote(url.root)}/{path}"
    # Airflow leaves only a URI with a scheme that begins with x- as it is. For any other it imports the URI handlers of
    # all installed providers, with boto3, in each parse of a DAG file.
    return Asset(name=place, uri=f"x-clever+{place}")
