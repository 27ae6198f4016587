"""``clever-attendance answer``: records what a person says about rows that did not come back."""

import getpass
import os
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json

if TYPE_CHECKING:
    from airflow_provider_clever.storage.objects import Objects

HELP: Final = "say what has become of rows that did not come back, of schools that are withheld"

MEANINGS: Final = {
    "deleted": "the rows are deleted: the next pull that misses them again marks them",
    "kept": "the rows stand as they are, unmarked, until they return",
    "unshared": "the school is no longer shared: a list of schools without it is right",
}
"""What each answer means."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    arguments.add_district(parser, "whose (default: the only one that landed)")
    arguments.add_schools(parser)
    parser.add_argument("--all", action="store_true", help="all schools that wait for a word")
    arguments.add_days(parser, "first day (default: as withheld)", "last day (default: as withheld)")
    words = parser.add_mutually_exclusive_group()
    for word, meaning in MEANINGS.items():
        words.add_argument(f"--{word}", dest="word", action="store_const", const=word, help=meaning)
    parser.add_argument("--by", default="", metavar="NAME", help="who answers (default: the user of this machine)")
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Write an answer; without one, show what waits for an answer (exit code 1: something does)."""
    from airflow_provider_clever.cli.destinations import chosen_districts, objects_at
    from airflow_provider_clever.exceptions import CleverSettingsError

    objects = objects_at(options.destination)
    asked = [options.district] if options.district else None
    districts = chosen_districts(objects, options.destination, asked)
    if len(districts) > 1:
        raise CleverSettingsError(
            f"There are several districts; say which one with --district: {', '.join(districts)}."
        )
    if options.word is None:
        return _show_questions(objects, districts[0], as_json=options.json)
    if not options.schools and not options.all:
        raise CleverSettingsError("Say which schools: --school ID, as often as need be, or --all that wait for a word.")
    return _give_answer(objects, districts[0], options)


def _show_questions(objects: "Objects", district_id: str, *, as_json: bool) -> ExitCode:
    from airflow_provider_clever.lake.answers import read_answers, to_json

    questions = read_answers(objects, district_id).questions
    if as_json:
        print_json({school_id: to_json(one) for school_id, one in questions.items()})
    else:
        for school_id, one in sorted(questions.items()):
            shown = f"{one.name} ({school_id})" if one.name else school_id
            print(f"{shown}: {one.withheld}{f' ({one.withheld.reason})' if one.withheld.reason else ''}")
        if not questions:
            print("No school waits for a word.")
    return ExitCode.FOUND if questions else ExitCode.OK


def _give_answer(objects: "Objects", district_id: str, options: Namespace) -> ExitCode:
    from airflow_provider_clever.exceptions import CleverSettingsError
    from airflow_provider_clever.lake.answers import to_json
    from airflow_provider_clever.lake.giving_answers import give_answer
    from airflow_provider_clever.syncs import moment_text

    said = give_answer(
        objects,
        district_id,
        tuple(options.schools or ()),
        options.word,
        by=options.by or _user(),
        at=moment_text(datetime.now(UTC)),
        first=options.first,
        last=options.last,
    )
    if options.json:
        print_json([to_json(one) for one in said])
    for one in () if options.json else said:
        print(f"{one.school_id}, {one.days.first} to {one.days.last}: {MEANINGS[one.word]}")
    if not said:
        raise CleverSettingsError("No school waits for a word, so nothing was written down.")
    return ExitCode.OK


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
