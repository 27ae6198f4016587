"""``clever-attendance report``: writes the coverage page as one file."""

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode

HELP: Final = "write what is covered, school by school and day by day, as an HTML file"

MOST_CALENDARS: Final = 50
"""How many districts without an open day get calendars in the file; every other district gets one."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="where to write it, such as report.html")
    arguments.add_districts(parser)
    arguments.add_today(parser)


def run(options: Namespace) -> ExitCode:
    """Write the file; a district that cannot be read is named in it, and makes the exit code 2."""
    from airflow_provider_clever.cli.destinations import chosen_districts, objects_at
    from airflow_provider_clever.cli.errors import complain
    from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
    from airflow_provider_clever.ui.render import LinksInFile, Page
    from airflow_provider_clever.ui.views import District, Glance, district_view

    objects = objects_at(options.destination)
    chosen = chosen_districts(objects, options.destination, options.districts)
    now = datetime.now(UTC)
    if options.today:
        now = datetime.combine(options.today, now.timetz())
    districts = [District(district_id=id_, destination=options.destination) for id_ in chosen]
    rows = Glance(districts, lambda _: objects, now).read()
    problems = [row.problem for row in rows if row.is_unreadable]
    views, left_out, quiet = [], 0, 0
    for row in rows:
        if row.status is None:
            continue
        if not (row.status.is_urgent or row.status.gaps or options.districts):
            quiet += 1
            if quiet > MOST_CALENDARS:
                left_out += 1
                continue
        try:
            views.append(district_view(objects, row.district, now))
        except CleverError as error:
            problems.append(str(error))
    html = Page(LinksInFile({view.district_id for view in views}), now).report(
        options.destination, rows, views, problems=problems, left_out=left_out
    )
    try:
        Path(options.output).write_text(html, encoding="utf-8")
    except OSError as error:
        raise CleverSettingsError(f"{options.output} cannot be written: {error.strerror}. Name another file.") from None
    print(f"{options.output}: {len(rows)} {'district' if len(rows) == 1 else 'districts'}")
    for problem in problems:
        complain(problem)
    return ExitCode.COULD_NOT if problems else ExitCode.OK
