"""The operator that brings a table up to date with what has landed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import AssetAlias, Context

from airflow_provider_clever.assets import TABLE_ALIAS, asset_if_known, table_asset
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.tables import check_kind, open_table
from airflow_provider_clever.memory import spare_memory
from airflow_provider_clever.operators.announcing import announce_table, declare
from airflow_provider_clever.operators.district import ConnectedOperator
from airflow_provider_clever.plugins.links import LEDGER_LINKS

if TYPE_CHECKING:
    from airflow_provider_clever.hooks.destinations import OpenDestination
    from airflow_provider_clever.storage.objects import Objects
    from airflow_provider_clever.table.landed_months import MonthName
    from airflow_provider_clever.table.table import Table
    from airflow_provider_clever.table.updating import UpdateReport


class CleverAttendanceTableOperator(ConnectedOperator):
    """Brings a table that warehouses read up to date with the landed files, all districts in one task.

    Each month of a district in which a landed file has changed is made again and replaced as a whole; what did not
    change is not read. The landed files stay the source: a retry, a kill or a second task at the same time neither lose
    nor double a row. A district whose files cannot be read is named at the end, when the others are up to date. The
    schools are named beside it, below ``schools/`` at the destination, and in the Iceberg table ``schools`` of the same
    namespace.

    Returned, and under the XCom key ``summary``: how many districts were compared and had changed, how many months and
    rows were written, which months could not be updated, and whether there is something to announce. Airflow emits no
    event for a task that failed: to announce the other districts even then, let a
    :class:`CleverAttendanceTableAnnounceOperator` follow.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param table: the kind of table. Default ``parquet``: one file for each month of a district, below
        ``attendance_by_month/`` at the destination itself. ``iceberg``: an Apache Iceberg table, in any catalog.
    :param district_ids: one district's Clever id, or several. Default: every district that has landed there.
    :param catalog_conn_id: the Airflow connection of the Iceberg catalog. Default: the embedded one, for a destination
        on this machine's own disk.
    :param table_name: the Iceberg table's name in its catalog. Default ``clever.attendance``.
    :param rebuild: make every month again. Default False.
    :param check_all: compare every month with what has landed, even if the mark is the same. Default False: weekly.
    :param clever_conn_id: the connection whose extra ``forget_secret`` makes the hashes of forgotten students; read
        only while a request to forget is pending, and not if the environment has ``CLEVER_FORGET_SECRET``. Default
        ``clever_default``.
    :param single_writer: promise that no other task writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    :param announce: announce a change as an event of :func:`~airflow_provider_clever.assets.table_asset`. Default True;
        False where another task does.
    """

    template_fields: Sequence[str] = ("destination", "table", "district_ids", "catalog_conn_id", "table_name")
    template_fields_renderers: ClassVar[dict[str, str]] = {"district_ids": "json"}
    operator_extra_links = LEDGER_LINKS
    lineage_inputs = ("lake",)
    lineage_outputs = ("table",)
    ui_color = "#e6dcf5"
    argument_rules: ClassVar[dict[str, arguments.Rule]] = {
        "table": arguments.text,
        "district_ids": arguments.ids,
        "catalog_conn_id": arguments.optional(arguments.text),
        "table_name": arguments.optional(arguments.text),
        "rebuild": arguments.flag,
        "check_all": arguments.flag,
        "clever_conn_id": arguments.text,
        "single_writer": arguments.flag,
        "announce": arguments.flag,
    }

    def __init__(
        self,
        *,
        destination: str,
        table: str = "parquet",
        district_ids: str | Sequence[str] | None = None,
        catalog_conn_id: str | None = None,
        table_name: str | None = None,
        rebuild: bool = False,
        check_all: bool = False,
        single_writer: bool = False,
        announce: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.table = table
        self.district_ids = district_ids
        self.catalog_conn_id = catalog_conn_id
        self.table_name = table_name
        self.rebuild = rebuild
        self.check_all = check_all
        self.single_writer = single_writer
        self.announce = announce
        if announce:
            declare(self, AssetAlias(TABLE_ALIAS), asset_if_known(table_asset, destination, table))

    def _run(self, context: Context) -> dict[str, Any]:
        check_kind(self.table)
        spare_memory()
        place, table, districts = self._opened()
        # A try that is killed from here on may have changed the table, and its retry finds nothing left to do.
        context["ti"].xcom_push("summary", {"changed": True})
        report = self._updated(place.objects, table, districts)
        summary = report.to_json()
        summary["changed"] = report.has_changed or context["ti"].try_number > 1
        self._leave_summary(context, summary)
        self.log.info(
            "%d districts, %d of them had changed: %d months written, %d removed, %d rows",
            *(summary[name] for name in ("districts", "districts_changed", "months_written", "months_removed")),
            summary["rows_written"],
        )
        for failure in report.failures:
            self.log.error("District %s %s: %s", failure.district_id, failure.month or "", failure.error)
        if problem := report.problem():
            raise problem
        if self.announce:
            announce_table(self, context, str(self.destination), self.table, summary)
        return summary

    def _opened(self) -> "tuple[OpenDestination, Table, list[str]]":
        from airflow_provider_clever.lake.verify import districts_at

        place = self._open_destination()
        table = open_table(place, self.table, catalog_conn_id=self.catalog_conn_id, table_name=self.table_name)
        self.found_table = table.registration or {"kind": self.table}
        districts = [self.district_ids] if isinstance(self.district_ids, str) else self.district_ids
        chosen = list(districts_at(place.objects) if districts is None else districts)
        if not chosen:
            raise CleverSettingsError(f"destination {place.url}: no district has landed there. Check the destination.")
        self.log.info("Table of kind %s, made of what landed of %d districts at %s", self.table, len(chosen), place.url)
        return place, table, chosen

    def _updated(self, objects: "Objects", table: "Table", districts: list[str]) -> "UpdateReport":
        from airflow_provider_clever.ledger.schools import write_schools
        from airflow_provider_clever.table.updating import TableUpdate, UpdateRules

        rules = UpdateRules(
            today=datetime.now(UTC).date(),
            is_rebuilt=self.rebuild,
            is_checked=self.check_all,
            forget_secret=self._forget_secret,
        )
        report = TableUpdate(objects, table, rules, progress=self._log_month).run(districts)
        report.failures += write_schools(objects, districts, table)
        return report

    def _log_month(self, name: "MonthName", rows: int) -> None:
        self.log.info("Wrote %s: %d rows", name, rows)
