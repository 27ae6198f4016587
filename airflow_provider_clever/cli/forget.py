"""``clever-attendance forget``: removes students, old days or a district from the lake, and proves it."""

import select
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.cli import arguments
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json

if TYPE_CHECKING:
    from airflow_provider_clever.forget.receipts import ForgetReceipt, Unreached
    from airflow_provider_clever.forget.requests import Forgetting, Preview
    from airflow_provider_clever.hooks.destinations import OpenDestination
    from airflow_provider_clever.storage.objects import Objects

HELP: Final = "remove students, old days or a whole district; exit code 3: one more run is needed later"

_STANDARD_INPUT: Final = "-"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser)
    arguments.add_district(parser, "all of this district; with another choice: only there")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--students", metavar="FILE", help="students: one id a line in a file, or - (default) on standard input"
    )
    what.add_argument("--older-than", type=arguments.years, metavar="YEARS", help="days that are older, such as 3y")
    parser.add_argument(
        "--finish",
        action="store_true",
        help="sweep again for all that is pending; with --students also for ids that were cut off",
    )
    parser.add_argument("--lift", action="store_true", help="let the district, or the students, land again")
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    parser.add_argument("--yes", action="store_true", help="do not ask; for machines")
    parser.add_argument(
        "--longest-task-hours",
        type=arguments.hours,
        default=24.0,
        metavar="HOURS",
        help="how long a task that runs now may still take (default 24); 0: none is running",
    )
    parser.add_argument("--conn-id", help="Clever connection that holds the key (default: CLEVER_FORGET_SECRET)")
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Carry out the request, district by district, and say what could not be removed."""
    from airflow_provider_clever.cli.connections import forget_secret_of
    from airflow_provider_clever.cli.destinations import chosen_districts, opened

    _check(options)
    place = opened(options.destination, single_writer=False)
    asked = [options.district] if options.district else None
    districts = chosen_districts(place.objects, options.destination, asked)
    is_district = bool(options.district) and not (options.students or options.older_than or options.finish)
    student_ids = _student_ids(options, is_district=is_district)
    secret = forget_secret_of(options.conn_id)
    forgettings = [_forgetting(place, district_id, secret, options.longest_task_hours) for district_id in districts]
    if options.finish:
        _check_that_they_are_pending(place.objects, districts, secret, student_ids)
    if options.lift:
        return _lift(forgettings, student_ids)
    if options.dry_run:
        return _preview(forgettings, options, student_ids)
    if not (options.yes or options.finish):
        _ask(options, districts, student_ids)
    receipts = [
        receipt for one in forgettings for receipt in _forget(one, options, student_ids, is_district=is_district)
    ]
    return _show(receipts, as_json=options.json)


def _check(options: Namespace) -> None:
    from airflow_provider_clever.exceptions import CleverSettingsError

    if options.finish and (options.lift or options.dry_run or options.older_than):
        raise CleverSettingsError(
            "--finish goes on with what is pending, so of the others only --students goes with it."
        )
    if options.lift and (options.dry_run or options.older_than):
        raise CleverSettingsError(
            "--lift lets students, or the district that --district names, land again at once; it goes with neither "
            "--dry-run nor --older-than: days that were removed for their age are not kept out."
        )


def _check_that_they_are_pending(
    objects: "Objects", districts: Sequence[str], secret: str | None, student_ids: Sequence[str]
) -> None:
    from airflow_provider_clever.exceptions import CleverSettingsError
    from airflow_provider_clever.forget.student_lists import pending_among

    unknown = {*student_ids}.difference(*(pending_among(objects, one, secret, student_ids) for one in districts))
    if unknown:
        raise CleverSettingsError(
            f"{len(unknown)} of these {len(student_ids)} students are not pending here. Give the list with which they "
            "were forgotten and the key of that time; or none, and hashes alone are looked for."
        )


def _forgetting(
    place: "OpenDestination", district_id: str, secret: str | None, longest_task_hours: float
) -> "Forgetting":
    from functools import partial

    from airflow_provider_clever.forget.requests import Forgetting
    from airflow_provider_clever.hooks.tables import open_registered

    return Forgetting(
        place.objects,
        district_id,
        secret=secret,
        longest_task_hours=longest_task_hours,
        open_table=partial(open_registered, place),
        command="clever-attendance forget",
    )


def _forget(
    one: "Forgetting", options: Namespace, student_ids: Sequence[str], *, is_district: bool
) -> "list[ForgetReceipt]":
    if options.finish:
        return one.go_on(student_ids)
    if is_district:
        return [one.district()]
    if options.older_than:
        return [one.days(_first_kept_day(options.older_than))]
    return [one.students(student_ids)]


def _student_ids(options: Namespace, *, is_district: bool) -> list[str]:
    from airflow_provider_clever.exceptions import CleverSettingsError
    from airflow_provider_clever.forget.student_lists import student_ids_in

    if options.older_than or (options.finish and not options.students):
        return []
    if is_district:
        if _something_is_piped_in():
            raise CleverSettingsError(
                "--district alone forgets the whole district, and something came on standard input. To forget students "
                "of that district, say --students - too; to forget the district, run it with `< /dev/null`."
            )
        return []
    place = options.students or _STANDARD_INPUT
    if place == _STANDARD_INPUT:
        if sys.stdin.isatty():
            print("One student id a line; end with Ctrl+D.", file=sys.stderr)
        return student_ids_in(sys.stdin.buffer.read())
    try:
        return student_ids_in(Path(place).read_bytes())
    except OSError as error:
        raise CleverSettingsError(
            f"the list of students could not be read ({type(error).__name__}): check the path that --students names"
        ) from None


def _something_is_piped_in() -> bool:
    with suppress(OSError, ValueError, AttributeError):  # no standard input, or one of a test
        if not sys.stdin.isatty() and select.select([sys.stdin], [], [], 0.2)[0]:
            return bool(sys.stdin.read(1))
    return False


def _lift(forgettings: "Sequence[Forgetting]", student_ids: Sequence[str]) -> ExitCode:
    from airflow_provider_clever.exceptions import CleverSettingsError

    lifted = sum(one.lift_students(student_ids) if student_ids else one.lift_district() for one in forgettings)
    if not lifted:
        raise CleverSettingsError("Nothing of this was forgotten here, so there is nothing to lift.")
    what = f"{lifted} students" if student_ids else "the district"
    print(f"{what} may land again with the next pull. What was removed stays removed.")
    return ExitCode.OK


def _ask(options: Namespace, districts: Sequence[str], student_ids: Sequence[str]) -> None:
    from airflow_provider_clever.exceptions import CleverSettingsError

    what = (
        f"{len(student_ids)} students"
        if student_ids
        else f"all days before {_first_kept_day(options.older_than)}"
        if options.older_than
        else "everything"
    )
    word = "yes" if student_ids or options.older_than else districts[0]
    question = (
        f"Remove {what} of {', '.join(districts)} from {options.destination}, for good? "
        f"--dry-run shows what would go.\nType {word} to go on: "
    )
    if _answer(question) != word:
        raise CleverSettingsError("Nothing was removed.")


def _answer(question: str) -> str:
    """Ask on the terminal itself: standard input may be the list of students."""
    from airflow_provider_clever.exceptions import CleverSettingsError

    try:
        with Path("/dev/tty").open("r+b", buffering=0) as terminal:
            terminal.write(question.encode())
            return terminal.readline().decode(errors="replace").strip()
    except OSError:
        raise CleverSettingsError("Nobody is there to be asked; say --yes, or look first with --dry-run.") from None


def _preview(forgettings: "Sequence[Forgetting]", options: Namespace, student_ids: Sequence[str]) -> ExitCode:
    from airflow_provider_clever.forget.receipts import counts_of

    look: Callable[[Forgetting], Preview]
    if student_ids:
        look = lambda one: one.preview_students(student_ids)  # noqa: E731 - one line each
    elif options.older_than:
        look = lambda one: one.preview_days(_first_kept_day(options.older_than))  # noqa: E731
    else:
        look = lambda one: one.preview_district()  # noqa: E731
    previews = [look(one) for one in forgettings]
    would_go = [counts_of({path: (touched,) for path, touched in one.found.touched.items()}) for one in previews]
    if options.json:
        facts = [
            {
                "district_id": one.district_id,
                "would_go": counts,
                "students_with_rows": len(one.found.students),
                "missing_rights": one.missing_rights,
                "unreached": [asdict(found) for found in one.found.unreached],
            }
            for one, counts in zip(previews, would_go, strict=True)
        ]
        print_json(facts)
    for one, counts in () if options.json else zip(previews, would_go, strict=True):
        print(f"{one.district_id}: nothing was removed; this would go")
        _print_counts(counts)
        if student_ids:
            print(f"  {len(one.found.students)} of {len(student_ids)} students have rows here")
        for right in one.missing_rights:
            print(f"  missing right {right}")
        _print_unreached(one.found.unreached)
    return ExitCode.FOUND if any(one.missing_rights or one.found.unreached for one in previews) else ExitCode.OK


def _show(receipts: "Sequence[ForgetReceipt]", *, as_json: bool) -> ExitCode:
    if as_json:
        print_json([one.summary() for one in receipts])
    for one in () if as_json else receipts:
        print(f"{one.district_id}: {one.state}, {'complete' if one.is_complete else 'incomplete'}")
        _print_counts(one.counts)
        _print_unreached(one.unreached)
        for place in one.elsewhere:
            print(f"  not ours to reach: {place}")
        if one.state == "pending":
            print(
                f"  pending: tasks of before may still write. Run the same again, or --finish, after "
                f"{one.final_after[:16]}Z"
            )
        print(f"  receipt: {one.path}")
    if not receipts and not as_json:
        print("Nothing is pending.")
    if any(one.state == "pending" for one in receipts):
        return ExitCode.PENDING
    return ExitCode.OK if all(one.is_complete for one in receipts) else ExitCode.FOUND


def _print_unreached(unreached: "Sequence[Unreached]") -> None:
    for found in unreached:
        print(f"  not reached: {found.count} {found.what}: {found.next_step}")
        for name in found.names:
            print(f"    {name}")


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    for kind, found in counts.items():
        print(f"  {kind.replace('_', ' '):16} {found['objects']:>8,} objects {found['rows']:>10,} rows")
    if not counts:
        print("  nothing was there")


def _first_kept_day(years: int) -> str:
    from airflow_provider_clever.forget.rules import first_kept_day

    return first_kept_day(years, datetime.now(UTC))
