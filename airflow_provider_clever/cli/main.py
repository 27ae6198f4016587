"""``clever-attendance``: what is due, how districts stand, and whether what landed is still so; and the sandbox."""

import argparse
import getpass
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.attendance.values import date_from_text, is_clever_id
from airflow_provider_clever.cli.errors import in_words
from airflow_provider_clever.dates import zone_named
from airflow_provider_clever.exceptions import CleverError, CleverSettingsError
from airflow_provider_clever.hooks.destinations import OpenDestination, open_destination
from airflow_provider_clever.settings import CleverSettings
from airflow_provider_clever.storage.destination_url import path_as_url
from airflow_provider_clever.syncs import sync_text
from airflow_provider_clever.windows import LONGEST_LOOKBACK_DAYS, YEARS

if TYPE_CHECKING:
    from airflow_provider_clever.dates import Span
    from airflow_provider_clever.lake.answers import Question
    from airflow_provider_clever.lake.verify import Finding
    from airflow_provider_clever.ledger.covered import CorrectionRules
    from airflow_provider_clever.ledger.reporting import DistrictReport
    from airflow_provider_clever.ledger.surveying import Survey
    from airflow_provider_clever.storage.objects import Objects

OK: Final = 0
FOUND: Final = 1
"""Something is wrong: a day is about to be lost, or what landed is damaged."""
COULD_NOT: Final = 2
"""The question could not be answered; nothing to look at is no answer."""
INTERRUPTED: Final = 130
"""Ctrl+C, as shells number it."""
CLOSED_PIPE: Final = 141
"""The reader of the output has gone, as `| head` goes; numbered as shells do."""

_SHOWN_SCHOOLS: Final = 40
_ANSWERS: Final = {
    "deleted": "the rows are deleted: the next pull that misses them again marks them",
    "kept": "the rows stand as they are, unmarked, until they return",
    "unshared": "the school is no longer shared: a list of schools without it is right",
}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and give the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with suppress(AttributeError):  # there may be no output, or one of a test
        # A locale that lacks a letter of a school's name must not cost the answer.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # suppressed above
    try:
        if given[:1] == ["sandbox"]:
            _become_the_sandbox(given[1:])
        options = _parser().parse_args(given)
        code: int = options.command(options)
        if sys.stdout:
            sys.stdout.flush()
    except SystemExit:  # argparse's; perhaps nobody reads its help any more
        _write_no_more()
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _write_no_more()
        return CLOSED_PIPE
    except Exception as error:  # noqa: BLE001 - who types a command is helped by words, never by a traceback
        _write_no_more()
        _complain(in_words(error))
        return COULD_NOT
    return code


def _complain(text: str) -> None:
    print(f"clever-attendance: {text}", file=sys.stderr)


def _write_no_more() -> None:
    """Drop what was not written: the interpreter would try again at its end, and fail with words of its own."""
    with suppress(OSError, ValueError, AttributeError):  # what stands for the output in a test has no file number
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _become_the_sandbox(arguments: list[str]) -> None:
    if importlib.util.find_spec("airflow_provider_clever.sandbox") is None:
        raise CleverSettingsError("The sandbox is not installed. Run: pip install 'airflow-provider-clever[sandbox]'")
    # Nothing of ours imports the sandbox: it has to be able to contradict us.
    os.execv(sys.executable, [sys.executable, "-m", "airflow_provider_clever.sandbox", *arguments])  # noqa: S606 - our own interpreter, no shell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clever-attendance", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("sandbox", help="start a stand-in for Clever on this machine; options: sandbox --help")

    plan = _command(commands, "plan", _plan, "what is due of a district, why, and what it takes to pull it")
    plan.add_argument("--from", dest="first", type=_date, metavar="DATE", help="first day to look at")
    plan.add_argument("--to", dest="last", type=_date, metavar="DATE", help="last day to look at, included")
    plan.add_argument("--timezone", default="", metavar="ZONE", help="the district's zone (default: as last recorded)")
    plan.add_argument("--lookback-days", type=_days, default=14, metavar="DAYS", help="as in the DAG (default 14)")
    plan.add_argument("--sweep-weekday", default="sunday", choices=(*_WEEKDAYS, "never"), metavar="DAY")
    plan.add_argument("--conn-id", default="clever_default", help="Airflow connection (default clever_default)")
    plan.add_argument("--all", action="store_true", help=f"show every school, not only {_SHOWN_SCHOOLS} that are due")

    status = _command(commands, "status", _status, "how all districts stand; exit code 1: a day is about to be lost")
    status.add_argument("--rebuild", action="store_true", help="first make coverage anew from the receipts")

    verify = _command(commands, "verify", _verify, "read everything again; exit code 1: something is wrong")
    verify.add_argument("--details", type=Path, metavar="FILE", help="write findings with ids there, as JSON lines")
    _answer_parser(commands)
    return parser


def _answer_parser(commands: Any) -> None:
    text = "say what has become of rows that did not come back, of schools that are withheld"
    parser = commands.add_parser("answer", help=text, description=text)
    parser.set_defaults(command=_answer)
    parser.add_argument(
        "destination", help="such as s3://aws_default@my-lake/clever, file:///data/clever or /data/clever"
    )
    parser.add_argument("--district", type=_district, metavar="ID", help="whose (default: the only one that landed)")
    parser.add_argument(
        "--school", dest="schools", action="append", type=_school, metavar="ID", help="which (may be repeated)"
    )
    parser.add_argument("--all", action="store_true", help="all schools that wait for a word")
    parser.add_argument("--from", dest="first", type=_date, metavar="DATE", help="first day (default: as withheld)")
    parser.add_argument("--to", dest="last", type=_date, metavar="DATE", help="last day (default: as withheld)")
    words = parser.add_mutually_exclusive_group()
    for word, means in _ANSWERS.items():
        words.add_argument(f"--{word}", dest="word", action="store_const", const=word, help=means)
    parser.add_argument("--by", default="", metavar="NAME", help="who answers (default: the user of this machine)")
    parser.add_argument("--json", action="store_true", help="as JSON, for a program")


def _command(commands: Any, name: str, command: Callable[[argparse.Namespace], int], help_text: str) -> Any:
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(command=command)
    parser.add_argument(
        "destination", help="such as s3://aws_default@my-lake/clever, file:///data/clever or /data/clever"
    )
    several = name != "plan"
    parser.add_argument(
        "--district",
        dest="districts" if several else "district",
        action="append" if several else "store",
        type=_district,
        metavar="ID",
        help="only this district (may be repeated)" if several else "which district (default: the connection's)",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for a program")
    if name != "verify":
        parser.add_argument("--today", type=_date, metavar="DATE", help="reckon as if it were this day; for trials")
    return parser


def _date(text: str) -> date:
    try:
        day = date_from_text(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it as YYYY-MM-DD") from None
    if day.year not in YEARS:
        raise argparse.ArgumentTypeError(f"{text!r} is a slip: it lies outside of {YEARS[0]} to {YEARS[-1]}")
    return day


def _district(text: str) -> str:
    if not is_clever_id(text):  # an empty one may be a variable that was not set: it must not mean every district
        raise argparse.ArgumentTypeError(f"{text!r} is no district's id")
    return text


def _school(text: str) -> str:
    if not is_clever_id(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no school's id")
    return text


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > LONGEST_LOOKBACK_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 0 to {LONGEST_LOOKBACK_DAYS}")
    return int(text)


# --- where things are -------------------------------------------------------------------------------------------------


def _place(options: argparse.Namespace) -> OpenDestination:
    with _airflow_on_stderr():
        # What reads needs no store that compares and swaps.
        return open_destination(path_as_url(options.destination), single_writer=True)


@contextmanager
def _airflow_on_stderr() -> Iterator[None]:
    """Airflow logs to the output that it finds when it is imported; ours may be a JSON document for a program."""
    with redirect_stdout(sys.stderr):
        yield


def _objects(options: argparse.Namespace) -> "Objects":
    from airflow_provider_clever.lake.layout import objects_at

    place = _place(options)
    # Only --rebuild writes, and only one small file that it compares first where the store can.
    return objects_at(place.fs, place.root)


def _settings(conn_id: str, district_id: str | None) -> CleverSettings:
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    plain = os.environ.get(variable, "")
    if plain.startswith("{"):
        try:
            fields = json.loads(plain)
            extra = fields.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
        except (ValueError, RecursionError):
            raise CleverSettingsError(
                f"{variable} is no JSON. Write it as an Airflow connection: "
                '{"conn_type": "clever", "login": "CLIENT ID", "password": "CLIENT SECRET"}.'
            ) from None
        if not isinstance(extra, dict):
            raise CleverSettingsError(f"{variable}: extra is no JSON object.")
        names = ("host", "schema", "port", "login", "password")
        connection: Any = SimpleNamespace(**{name: fields.get(name) for name in names}, extra_dejson=extra)
        return CleverSettings.from_connection(connection, district_id)
    try:
        with _airflow_on_stderr():
            from airflow_provider_clever.hooks.clever import CleverHook

            return CleverHook(conn_id, district_id).get_settings()
    except CleverError:
        raise
    except Exception as error:  # noqa: BLE001 - no such connection, no database, no Airflow: each has its own kinds
        raise CleverSettingsError(
            f"Airflow gives no connection {conn_id} here ({type(error).__name__}). Set {variable} as JSON, make the "
            "connection in this Airflow, or name another one with --conn-id."
        ) from None


# --- plan -------------------------------------------------------------------------------------------------------------


def _plan(options: argparse.Namespace) -> int:
    survey = _surveyed(options)
    if options.json:
        district = {"district_id": survey.district.id, "name": survey.district.name, "last_sync": survey.last_sync}
        print(json.dumps(district | survey.plan.to_json(), indent=2))
    else:
        from airflow_provider_clever.cli.terminal import show_plan

        show_plan(survey, most_schools=None if options.all else _SHOWN_SCHOOLS)
    return OK


def _surveyed(options: argparse.Namespace) -> "Survey":
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.ledger.coverage import read_coverage
    from airflow_provider_clever.ledger.planner import BUDGET_PER_MINUTE, PlanSettings
    from airflow_provider_clever.ledger.surveying import survey

    objects = _objects(options)
    settings = _settings(options.conn_id, options.district)
    with CleverClient(settings) as client:
        recorded = read_coverage(objects, client.get_district().id).coverage
        zone = zone_named(options.timezone or recorded.timezone)
        today = options.today or datetime.now(zone).date()
        span = _looked_at(options, today)
        plan_settings = PlanSettings(
            corrections=_rules(zone, options.lookback_days),
            sweep_weekday=None if options.sweep_weekday == "never" else _WEEKDAYS.index(options.sweep_weekday),
            requests_per_minute=BUDGET_PER_MINUTE * settings.budget_share,
        )
        return survey(client, objects, today=today, settings=plan_settings, within=span)


def _looked_at(options: argparse.Namespace, today: date) -> "Span":
    from airflow_provider_clever.dates import Span, first_retained

    last = options.last or max(today, options.first or today)
    first = options.first or min(first_retained(today), last)
    if first > last:
        raise CleverSettingsError(f"--from {first} lies after --to {last}; swap them.")
    if first > today:
        raise CleverSettingsError(
            f"--from {first} lies in the future: it is {today} there, and nothing can be due yet."
        )
    return Span(first, min(last, today))


def _rules(zone: Any, lookback_days: int) -> "CorrectionRules":
    from airflow_provider_clever.ledger.covered import CorrectionRules

    return CorrectionRules(timezone=zone, lookback_days=lookback_days)


# --- status -----------------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    from airflow_provider_clever.lake.verify import districts_at

    objects = _objects(options)
    districts = _chosen(options, districts_at(objects))
    reports, problems = [], []
    for district_id in districts:
        try:
            reports.append(_report(objects, district_id, options))
        except CleverError as error:
            problems.append(str(error))
    if options.json:
        print(json.dumps([report.to_json() for report in reports], indent=2))
    elif reports:
        from airflow_provider_clever.cli.terminal import show_status

        show_status(reports)
    for problem in problems:
        _complain(problem)
    if problems:
        return COULD_NOT
    return FOUND if any(report.about_to_be_lost for report in reports) else OK


def _chosen(options: argparse.Namespace, found: Sequence[str]) -> Sequence[str]:
    """The districts to look at, in order.

    :raises CleverSettingsError: nothing has landed, or nothing of a district that was named.
    """
    if not found:
        raise CleverSettingsError(
            f"Nothing has landed at {options.destination}: no district has a folder there. Check the destination."
        )
    unknown = sorted({*(options.districts or ())} - {*found})
    if unknown:
        raise CleverSettingsError(
            f"Nothing of {', '.join(unknown)} has landed at {options.destination}. There are: {', '.join(found)}."
        )
    return list(dict.fromkeys(options.districts or found))


def _report(objects: "Objects", district_id: str, options: argparse.Namespace) -> "DistrictReport":
    from airflow_provider_clever.ledger.coverage import Listing, current_coverage, read_coverage, rebuild_coverage
    from airflow_provider_clever.ledger.reporting import district_report

    if options.rebuild:
        # Never as of an earlier day than this: pulls since then would count as made on that day, for good.
        present = datetime.now(UTC).date()
        rebuild_coverage(objects, district_id, Listing(today=max(present, options.today or present)))
    zone = zone_named(read_coverage(objects, district_id).coverage.timezone)
    today = options.today or datetime.now(zone).date()
    file = current_coverage(objects, district_id, Listing(today=today))
    if not file.coverage.schools:
        raise CleverSettingsError(
            f"Nothing is known of district {district_id} at {options.destination}: there is no receipt of a pull. "
            "Pull it, or restore its folder below _clever/."
        )
    return district_report(file, today)


# --- answer -----------------------------------------------------------------------------------------------------------


def _answer(options: argparse.Namespace) -> int:
    """Take an answer; without one, tell what waits for one (exit code 1: something does)."""
    from airflow_provider_clever.lake.answers import give_answer, read_answers
    from airflow_provider_clever.lake.verify import districts_at

    objects = _objects(options)
    options.districts = [options.district] if options.district else None
    districts = _chosen(options, districts_at(objects))
    if len(districts) > 1:
        raise CleverSettingsError(
            f"There are several districts; say which one with --district: {', '.join(districts)}."
        )
    if options.word is None:
        questions = read_answers(objects, districts[0]).questions
        _tell_questions(questions, as_json=options.json)
        return FOUND if questions else OK
    if not options.schools and not options.all:
        raise CleverSettingsError("Say which schools: --school ID, as often as need be, or --all that wait for a word.")
    said = give_answer(
        objects,
        districts[0],
        tuple(options.schools or ()),
        options.word,
        by=options.by or _user(),
        at=sync_text(datetime.now(UTC)),
        first=options.first,
        last=options.last,
    )
    if options.json:
        print(json.dumps([asdict(one) for one in said], indent=2))
    for one in () if options.json else said:
        print(f"{one.school_id}, {one.days.start} to {one.days.end}: {_ANSWERS[one.word]}")
    if not said:
        raise CleverSettingsError("No school waits for a word, so nothing was written down.")
    return OK


def _tell_questions(questions: "Mapping[str, Question]", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({school_id: asdict(one) for school_id, one in questions.items()}, indent=2))
        return
    for school_id, one in sorted(questions.items()):
        shown = f"{one.name} ({school_id})" if one.name else school_id
        print(f"{shown}: {one.withheld}{f' ({one.withheld.reason})' if one.withheld.reason else ''}")
    if not questions:
        print("No school waits for a word.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


# --- verify -----------------------------------------------------------------------------------------------------------


def _verify(options: argparse.Namespace) -> int:
    from airflow_provider_clever.cli.terminal import progress_bar, show_findings
    from airflow_provider_clever.lake.layout import objects_at
    from airflow_provider_clever.lake.verify import districts_at, verify

    place = _place(options)
    districts = _chosen(options, districts_at(objects_at(place.fs, place.root, single_writer=True)))
    with progress_bar(is_wanted=not options.json) as progress, _details(options.details) as details:
        report = verify(place.fs, place.root, districts=districts, progress=progress, details=details)
    if options.json:
        facts = {"ok": report.ok, "districts": report.districts, "counts": report.counts}
        print(
            json.dumps(facts | {name: getattr(report, name) for name in ("partitions", "rows", "receipts")}, indent=2)
        )
    else:
        show_findings(report, options.details)
    return OK if report.ok else FOUND


@contextmanager
def _details(path: Path | None) -> "Iterator[Callable[[Finding], None] | None]":
    if path is None:
        yield None
        return
    from dataclasses import asdict

    # It names students: nobody but this user is to read it, also where a file stands that others may read.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        yield lambda finding: print(json.dumps(asdict(finding)), file=file)


if __name__ == "__main__":
    sys.exit(main())
