"""``clever-attendance verify``: checks whether everything that landed is still as it was written."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json

if TYPE_CHECKING:
    from airflow_provider_clever.lake.findings import Finding

HELP: Final = "read everything again; exit code 1: something is wrong"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    arguments.add_districts(parser)
    arguments.add_since(parser, "read the partitions of this attendance date and later")
    arguments.add_sample(parser, "read so much of them, others each day: 1%%, 0.5%%; default all")
    parser.add_argument("--months", action="store_true", help="also compare all rows of the table of monthly Parquet")
    parser.add_argument("--details", type=Path, metavar="FILE", help="write findings with ids there, as JSON lines")
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Read everything again, and show what was found."""
    from airflow_provider_clever.cli.destinations import chosen_districts, opened
    from airflow_provider_clever.cli.terminal import progress_bar, show_findings
    from airflow_provider_clever.lake.verify import Choice, verify
    from airflow_provider_clever.table.month_check import check_months

    place = opened(options.destination)
    districts = chosen_districts(place.objects, options.destination, options.districts)
    with progress_bar(is_wanted=not options.json) as progress, _details(options.details) as details:
        choice = Choice(options.since, options.share, seed=f"{datetime.now(UTC):%Y-%m-%d}")
        report = verify(
            place.objects.fs,
            place.objects.root,
            districts=districts,
            choice=choice,
            progress=progress,
            details=details,
            also=partial(check_months, since=options.since, has_rows_read=options.months),
        )
    if options.json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        show_findings(report, options.details)
    return ExitCode.OK if report.ok else ExitCode.FOUND


@contextmanager
def _details(path: Path | None) -> "Iterator[Callable[[Finding], None] | None]":
    if path is None:
        yield None
        return
    # The file names students: only this user may read it, even if an older file there could be read by others.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        yield lambda finding: print(json.dumps({**asdict(finding), "words": finding.words or None}), file=file)
