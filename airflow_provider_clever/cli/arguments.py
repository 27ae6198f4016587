"""Arguments that several verbs share, and the check of their values."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date


def add_destination(parser: ArgumentParser, *, is_required: bool = True) -> None:
    """Add the destination."""
    parser.add_argument(
        "destination",
        nargs=None if is_required else "?",
        help="such as s3://aws_default@my-lake/clever, file:///data/clever or /data/clever",
    )


def add_connection(parser: ArgumentParser) -> None:
    """Add the Airflow connection that reaches Clever."""
    parser.add_argument("--conn-id", default="clever_default", help="Airflow connection (default clever_default)")


def add_district(parser: ArgumentParser, help_text: str) -> None:
    """Add the argument for one district."""
    parser.add_argument("--district", type=_district, metavar="ID", help=help_text)


def add_districts(parser: ArgumentParser) -> None:
    """Add the argument for several districts."""
    parser.add_argument(
        "--district",
        dest="districts",
        action="append",
        type=_district,
        metavar="ID",
        help="only this district (may be repeated)",
    )


def add_schools(parser: ArgumentParser) -> None:
    """Add the argument for schools."""
    parser.add_argument(
        "--school", dest="schools", action="append", type=_school, metavar="ID", help="which (may be repeated)"
    )


def add_days(parser: ArgumentParser, first: str, last: str) -> None:
    """Add the first and the last day, with their help texts."""
    parser.add_argument("--from", dest="first", type=_date, metavar="DATE", help=first)
    parser.add_argument("--to", dest="last", type=_date, metavar="DATE", help=last)


def add_lookback(parser: ArgumentParser) -> None:
    """Add for how many days corrections to a day are expected."""
    parser.add_argument("--lookback-days", type=_days, default=14, metavar="DAYS", help="as in the DAG (default 14)")


def add_today(parser: ArgumentParser) -> None:
    """Add the date that counts as today."""
    parser.add_argument("--today", type=_date, metavar="DATE", help="reckon as if it were this day; for trials")


def add_since(parser: ArgumentParser, help_text: str) -> None:
    """Add the first day to read."""
    parser.add_argument("--since", type=_date, metavar="DATE", help=help_text)


def add_sample(parser: ArgumentParser, help_text: str) -> None:
    """Add the share of objects to read, 0 to 1."""
    parser.add_argument("--sample", dest="share", type=_share, default=1.0, metavar="PERCENT", help=help_text)


def add_json(parser: ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON, for a program")


def years(text: str) -> int:
    """Read an age in years, such as ``3y``."""
    number = text.removesuffix("y")
    if not (text.endswith("y") and number.isascii() and number.isdigit() and 1 <= int(number) <= 100):
        raise ArgumentTypeError(f"{text!r} is no age; write years, such as 3y")
    return int(number)


def hours(text: str) -> float:
    """Read a number of hours, up to a month of them."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 24 * 31:
        raise ArgumentTypeError(f"{text!r} is no number of hours from 0 to {24 * 31}")
    return number


# The functions below import pydantic or the calendar of runs, which --help does not need.


def _date(text: str) -> date:
    from airflow_provider_clever.dates import date_from_text
    from airflow_provider_clever.windows import YEARS

    try:
        day = date_from_text(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date; write it as YYYY-MM-DD") from None
    if day.year not in YEARS:
        raise ArgumentTypeError(f"{text!r} is a slip: it lies outside of {YEARS[0]} to {YEARS[-1]}")
    return day


def _district(text: str) -> str:
    return _id(text, "district")  # an empty one may be an unset variable: it must not mean every district


def _school(text: str) -> str:
    return _id(text, "school")


def _id(text: str, whose: str) -> str:
    from airflow_provider_clever.attendance.values import is_clever_id

    if not is_clever_id(text):
        raise ArgumentTypeError(f"{text!r} is no {whose}'s id")
    return text


def _days(text: str) -> int:
    from airflow_provider_clever.windows import LONGEST_LOOKBACK_DAYS

    if not text.isascii() or not text.isdigit() or int(text) > LONGEST_LOOKBACK_DAYS:
        raise ArgumentTypeError(f"{text!r} is no number of days from 0 to {LONGEST_LOOKBACK_DAYS}")
    return int(text)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise ArgumentTypeError(f"{text!r} is no part of a hundred; write it as 1% or 0.5%")
    return percent / 100
