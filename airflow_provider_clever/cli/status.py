"""``clever-attendance status``: shows the state of all districts."""

from argparse import ArgumentParser, Namespace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json

if TYPE_CHECKING:
    from airflow_provider_clever.ledger.reporting import DistrictReport
    from airflow_provider_clever.storage.objects import Objects

HELP: Final = "how all districts stand; exit code 1: a day is about to be lost"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    arguments.add_districts(parser)
    parser.add_argument("--rebuild", action="store_true", help="first make coverage again from the receipts")
    arguments.add_today(parser)
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Show the state of districts; one that cannot be read is named, and the others are shown."""
    from airflow_provider_clever.cli.destinations import chosen_districts, objects_at
    from airflow_provider_clever.cli.errors import complain
    from airflow_provider_clever.exceptions import CleverError, CleverSettingsError

    objects = objects_at(options.destination)
    reports, problems = [], []
    for district_id in chosen_districts(objects, options.destination, options.districts):
        try:
            if _is_forgotten(objects, district_id):
                continue
            if options.rebuild:
                _rebuild(objects, district_id, options.today)
            report = report_of(objects, district_id, options.today)
            if report is None:
                raise CleverSettingsError(
                    f"Nothing is known of district {district_id} at {options.destination}: there is no receipt of a "
                    "pull. Pull it, or restore its folder below _clever/."
                )
            reports.append(report)
        except CleverError as error:
            problems.append(str(error))
    if options.json:
        print_json([report.to_json() for report in reports])
    elif reports:
        from airflow_provider_clever.cli.terminal import show_status

        show_status(reports)
    for problem in problems:
        complain(problem)
    if problems:
        return ExitCode.COULD_NOT
    return ExitCode.FOUND if any(report.about_to_be_lost for report in reports) else ExitCode.OK


def _is_forgotten(objects: "Objects", district_id: str) -> bool:
    """Log what is forgotten of a district, and give whether all of it is."""
    from airflow_provider_clever.cli.errors import complain
    from airflow_provider_clever.lake.forgotten import read_forgotten

    forgotten = read_forgotten(objects, district_id)
    if forgotten.tombstone is not None:
        complain(f"district {district_id} was forgotten on {forgotten.tombstone.asked_at[:10]}")
    for request in forgotten.pending.values():
        complain(
            f"district {district_id}: what was to be forgotten on {request.asked_at[:10]} is pending; run "
            f"`clever-attendance forget DESTINATION --finish` after {request.final_after[:16]}Z"
        )
    return forgotten.tombstone is not None


def report_of(objects: "Objects", district_id: str, today: date | None = None) -> "DistrictReport | None":
    """Give the state of one district, with receipts that no run has recorded yet. None: no pull has left a receipt.

    :param objects: the destination.
    :param district_id: the district.
    :param today: the date that counts as today. Default: the present one in the district's zone.
    :raises CleverError: it cannot be read.
    """
    from airflow_provider_clever.dates import zone_named
    from airflow_provider_clever.ledger.coverage_store import Listing, current_coverage, read_coverage
    from airflow_provider_clever.ledger.reporting import district_report

    zone = zone_named(read_coverage(objects, district_id).coverage.timezone)
    day = today or datetime.now(zone).date()
    file = current_coverage(objects, district_id, Listing(today=day))
    return district_report(file, day) if file.coverage.schools else None


def _rebuild(objects: "Objects", district_id: str, today: date | None) -> None:
    from airflow_provider_clever.ledger.coverage_store import Listing, rebuild_coverage

    # Never with an earlier day as today: pulls since then would count as made on that day, for good.
    present = datetime.now(UTC).date()
    rebuild_coverage(objects, district_id, Listing(today=max(present, today or present)))
