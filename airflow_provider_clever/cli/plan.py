"""``clever-attendance plan``: shows which days of a district are due, why, and how many requests they take."""

from argparse import ArgumentParser, Namespace
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json
from airflow_provider_clever.dates import WEEKDAYS

if TYPE_CHECKING:
    from airflow_provider_clever.dates import DateRange
    from airflow_provider_clever.ledger.surveying import Survey

HELP: Final = "what is due of a district, why, and what it takes to pull it"

_SHOWN_SCHOOLS: Final = 40


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    arguments.add_district(parser, "which district (default: the connection's)")
    arguments.add_days(parser, "first day to look at", "last day to look at, included")
    parser.add_argument(
        "--timezone", default="", metavar="ZONE", help="the district's zone (default: as last recorded)"
    )
    arguments.add_lookback(parser)
    parser.add_argument("--sweep-weekday", default="sunday", choices=(*WEEKDAYS, "never"), metavar="DAY")
    arguments.add_connection(parser)
    parser.add_argument("--all", action="store_true", help=f"show every school, not only {_SHOWN_SCHOOLS} that are due")
    arguments.add_today(parser)
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Show the plan."""
    survey = _surveyed(options)
    if options.json:
        district = {"district_id": survey.district.id, "name": survey.district.name, "last_sync": survey.last_sync}
        print_json(district | survey.plan.to_json())
    else:
        from airflow_provider_clever.cli.terminal import show_plan

        show_plan(survey, most_schools=None if options.all else _SHOWN_SCHOOLS)
    return ExitCode.OK


def _surveyed(options: Namespace) -> "Survey":
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.cli.connections import settings_of
    from airflow_provider_clever.cli.destinations import objects_at
    from airflow_provider_clever.dates import zone_named
    from airflow_provider_clever.ledger.coverage_store import read_coverage
    from airflow_provider_clever.ledger.planner import BUDGET_PER_MINUTE, PlanSettings
    from airflow_provider_clever.ledger.surveying import survey
    from airflow_provider_clever.ledger.watermark import CorrectionRules

    objects = objects_at(options.destination)
    settings = settings_of(options.conn_id, options.district)
    with CleverClient(settings) as client:
        recorded = read_coverage(objects, client.get_district().id).coverage
        zone = zone_named(options.timezone or recorded.timezone)
        today = options.today or datetime.now(zone).date()
        span = _looked_at(options, today)
        plan_settings = PlanSettings(
            corrections=CorrectionRules(timezone=zone, lookback_days=options.lookback_days),
            sweep_weekday=None if options.sweep_weekday == "never" else WEEKDAYS.index(options.sweep_weekday),
            requests_per_minute=BUDGET_PER_MINUTE * settings.budget_share,
        )
        return survey(client, objects, today=today, settings=plan_settings, within=span)


def _looked_at(options: Namespace, today: date) -> "DateRange":
    from airflow_provider_clever.dates import DateRange, first_retained
    from airflow_provider_clever.exceptions import CleverSettingsError

    last = options.last or max(today, options.first or today)
    first = options.first or min(first_retained(today), last)
    if first > last:
        raise CleverSettingsError(f"--from {first} lies after --to {last}; swap them.")
    if first > today:
        raise CleverSettingsError(
            f"--from {first} lies in the future: it is {today} there, and nothing can be due yet."
        )
    return DateRange(first, min(last, today))
