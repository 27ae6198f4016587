"""``clever-attendance table``: brings a table up to date with what has landed."""

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from airflow_provider_clever.table.landed_months import MonthName
    from airflow_provider_clever.table.updating import TableUpdate, UpdateReport

HELP: Final = "bring a table up to date with what landed; exit code 1: a district could not be"

_SHOWN_MONTHS: Final = 40


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    parser.add_argument("--table", default="parquet", metavar="KIND", help="kind of table (default parquet)")
    arguments.add_districts(parser)
    parser.add_argument("--catalog-conn-id", metavar="ID", help="Airflow connection of the table's catalog")
    parser.add_argument("--table-name", metavar="NAME", help="the table's name in its catalog")
    parser.add_argument("--rebuild", action="store_true", help="make every month again")
    parser.add_argument("--all", action="store_true", help="compare every month with what landed, whatever is noted")
    parser.add_argument("--dry-run", action="store_true", help="only show which months are due")
    parser.add_argument("--conn-id", help="Clever connection that holds the key of what is forgotten")
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Make the months that are due, and say which could not be made."""
    from airflow_provider_clever.cli.connections import forget_secret_of
    from airflow_provider_clever.cli.destinations import chosen_districts, opened
    from airflow_provider_clever.hooks.tables import open_table
    from airflow_provider_clever.ledger.schools import write_schools
    from airflow_provider_clever.memory import spare_memory
    from airflow_provider_clever.table.updating import TableUpdate, UpdateRules

    spare_memory()
    place = opened(options.destination, single_writer=False)
    table = open_table(place, options.table, catalog_conn_id=options.catalog_conn_id, table_name=options.table_name)
    districts = chosen_districts(place.objects, options.destination, options.districts)
    rules = UpdateRules(
        today=datetime.now(UTC).date(),
        is_rebuilt=options.rebuild,
        is_checked=options.all,
        forget_secret=lambda: forget_secret_of(options.conn_id),
    )
    is_quiet = options.json or options.dry_run
    update = TableUpdate(place.objects, table, rules, progress=(lambda *_: None) if is_quiet else _show_month)
    if options.dry_run:
        return _show_due(update, districts, as_json=options.json)
    report = update.run(districts)
    report.failures += write_schools(place.objects, districts, table)
    return _show(report, as_json=options.json)


def _show_month(name: "MonthName", rows: int) -> None:
    print(f"{name}: {rows:,} rows", flush=True)


def _show_due(update: "TableUpdate", districts: list[str], *, as_json: bool) -> ExitCode:
    due, report = update.due(districts)
    if as_json:
        print(json.dumps({"due": [name._asdict() for name in due], **report.to_json()}, indent=2))
    else:
        for name in due[:_SHOWN_MONTHS]:
            print(f"{name} is due")
        if left := due[_SHOWN_MONTHS:]:
            print(f"and {len(left)} more")
        print(f"Months due: {len(due)}, districts looked at: {report.districts}; nothing was written")
    return _code(report)


def _show(report: "UpdateReport", *, as_json: bool) -> ExitCode:
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print(
            f"Months written: {len(report.written)}, removed: {len(report.removed)}, rows: "
            f"{sum(report.written.values()):,}, districts looked at: {report.districts}"
        )
    return _code(report)


def _code(report: "UpdateReport") -> ExitCode:
    from airflow_provider_clever.cli.errors import complain

    for failure in report.failures:
        complain(f"district {failure.district_id} {failure.month or ''}: {failure.error}")
    return ExitCode.FOUND if report.failures else ExitCode.OK
