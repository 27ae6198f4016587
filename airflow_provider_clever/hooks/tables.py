"""Opens tables, for operators and command line alike."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.destinations import OpenDestination

if TYPE_CHECKING:
    from airflow_provider_clever.table.table import Table

_Opener: TypeAlias = Callable[[OpenDestination, str | None, str | None], "Table"]


def open_table(
    place: OpenDestination, kind: str, *, catalog_conn_id: str | None = None, table_name: str | None = None
) -> "Table":
    """Open a table; nothing of it is read yet.

    :param place: the destination whose partitions it is made of.
    :param kind: one of :data:`TABLE_KINDS`.
    :param catalog_conn_id: the Airflow connection of its catalog, for a kind that has one.
    :param table_name: its name in the catalog.
    :raises CleverSettingsError: there is no such kind, or what it needs is missing.
    """
    check_kind(kind)
    return _OPENERS[kind](place, catalog_conn_id or None, table_name or None)


def open_registered(place: OpenDestination, registration: Mapping[str, str]) -> "Table":
    """Open a table as it was registered at the destination (table/registry.py), for what is forgotten there.

    :raises CleverSettingsError: it cannot be opened here; the message says what is missing.
    """
    kind = registration.get("kind", "")
    return open_table(place, kind, catalog_conn_id=registration.get("catalog"), table_name=registration.get("table"))


def check_kind(kind: str) -> None:
    """Make sure that there is such a kind of table.

    :raises CleverSettingsError: there is none.
    """
    if kind not in _OPENERS:
        raise CleverSettingsError(f"table is {kind!r}; choose one of {', '.join(map(repr, TABLE_KINDS))}.")


def _parquet(place: OpenDestination, catalog_conn_id: str | None, table_name: str | None) -> "Table":
    if catalog_conn_id or table_name:
        raise CleverSettingsError(
            "The table of monthly Parquet lies at the destination itself, and has no catalog and no other name. Leave "
            "catalog_conn_id and table_name out, or choose another kind of table."
        )
    from airflow_provider_clever.table.monthly_parquet import MonthlyParquet

    return MonthlyParquet(place.objects)


def _iceberg(place: OpenDestination, catalog_conn_id: str | None, table_name: str | None) -> "Table":
    from airflow_provider_clever.hooks.iceberg import iceberg_catalog
    from airflow_provider_clever.table.iceberg.catalogs import require_libraries

    catalog = iceberg_catalog(place.url, catalog_conn_id, table_name)
    require_libraries()
    from airflow_provider_clever.table.iceberg.table import IcebergTable

    return IcebergTable(catalog)


_OPENERS: Final[dict[str, _Opener]] = {"parquet": _parquet, "iceberg": _iceberg}

TABLE_KINDS: Final = tuple(_OPENERS)
"""The kinds of tables, by the names that users give them."""
