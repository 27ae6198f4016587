"""Finds the table in its catalog, and makes it if there is none."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table as PyIcebergTable

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.storage.objects import swap_waits, too_contended
from airflow_provider_clever.table.iceberg.catalogs import CatalogSettings, open_catalog
from airflow_provider_clever.table.iceberg.columns import TableKind
from airflow_provider_clever.table.iceberg.snapshots import LostRaceError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

Result = TypeVar("Result")

_ANOTHER_NAME: Final = {
    "attendance": "Name another table",
    "schools": "The schools stand beside the table of attendance, so name one in another namespace",
}


class Opener:
    """Opens one table. Safe to use from several threads.

    :param settings: the catalog, and the table's name in it.
    :param kind: the kind of table.
    """

    def __init__(self, settings: CatalogSettings, kind: TableKind) -> None:
        self._settings = settings
        self._kind = kind
        self._lock = threading.Lock()
        self._evolved: PyIcebergTable | None = None

    def found(self) -> PyIcebergTable | None:
        """Load the present state of the table. None: there is no table.

        :raises CleverSettingsError: it is not ours, or was moved.
        """
        if self._settings.warehouse and not Path(self._settings.warehouse).is_dir():
            return None
        try:
            table = self._loaded()
        except (NoSuchTableError, NoSuchNamespaceError):
            return None
        if not self._kind.is_kind_of(table):
            raise CleverSettingsError(
                f"{self._settings} was not made by airflow-provider-clever, or is partitioned in another way now, so "
                f"nothing is written to it. {_ANOTHER_NAME[self._kind.name]}; the first run makes it"
            )
        if self._settings.location not in (None, table.location()):
            raise CleverSettingsError(
                f"{self._settings} was made at another path, and Iceberg keeps whole paths. Remove that folder; the "
                "next run makes the table again from what stands landed"
            )
        return table

    def found_or_made(self) -> PyIcebergTable:
        """Load the present state of the table, and make the table if there is none."""
        return self.found() or self._made()

    def with_todays_columns(self) -> PyIcebergTable:
        """Give a recent state of the table with today's columns; the table is made if there is none."""
        with self._lock:
            if self._evolved is None:
                self._evolved = self._brought_up_to_date()
            return self._evolved

    def look_again(self) -> None:
        """Let the next call of :meth:`with_todays_columns` load the table again."""
        with self._lock:
            self._evolved = None

    def on_newest(self, act: Callable[[PyIcebergTable], Result], table: PyIcebergTable | None = None) -> Result:
        """Change the table's newest state; if another process was faster, try again on the next one.

        :param act: makes the change; it may raise LostRaceError, or miss a file that only an earlier state needed.
        :param table: the newest known state. Default: it is loaded, and made if there is none.
        :raises CleverLandingError: other processes were faster every time.
        """
        for wait_seconds in swap_waits():
            table = table or self.found_or_made()
            try:
                return act(table)
            except LostRaceError:
                pass
            except FileNotFoundError:
                if self.found_or_made().metadata_location == table.metadata_location:
                    raise
            table = None
            time.sleep(wait_seconds)
        raise too_contended(str(self._settings))

    @cached_property
    def _catalog(self) -> "Catalog":
        return open_catalog(self._settings)

    def _loaded(self) -> PyIcebergTable:
        for wait_seconds in swap_waits():
            with suppress(FileNotFoundError):  # a sweep has removed it since the catalog was asked
                return self._catalog.load_table(self._settings.table)
            time.sleep(wait_seconds)
        raise CleverLandingError(
            f"{self._settings}: the metadata file that the catalog names is gone. Restore it; or drop the table from "
            "the catalog, and the next run makes it again from what stands landed"
        )

    def _brought_up_to_date(self) -> PyIcebergTable:
        def evolved(table: PyIcebergTable) -> PyIcebergTable:
            try:
                self._kind.evolve(table)
            except CommitFailedException:  # another process does the same
                raise LostRaceError from None
            return table

        return self.on_newest(evolved)

    def _made(self) -> PyIcebergTable:
        try:
            try:
                return self._make()
            except NoSuchNamespaceError:
                with suppress(NamespaceAlreadyExistsError):
                    self._catalog.create_namespace(self._settings.table.rpartition(".")[0])
                return self._make()
        except TableAlreadyExistsError:
            return self.found() or self._make()

    def _make(self) -> PyIcebergTable:
        schema = self._kind.schema()
        return self._catalog.create_table(
            self._settings.table,
            schema,
            location=self._settings.location,
            partition_spec=self._kind.partition_spec(schema),
            sort_order=self._kind.sort_order(schema),
            properties=self._kind.properties,
        )
