"""Checks arguments before they are used, because templates give other types than expected.

A template that is rendered to native objects (``render_template_as_native_obj``) turns the id 65000 into a number, and
an empty place in a list into None. Python's own errors about them name no argument, and Airflow would retry the task.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Final, TypeAlias

from airflow_provider_clever.exceptions import CleverSettingsError

Rule: TypeAlias = Callable[[object], str | None]
"""Says what is wrong with a value, in words that follow its name. None: nothing is wrong."""


def check(holder: object, rules: Mapping[str, Rule]) -> None:
    """Check the arguments that an object holds.

    :param holder: an operator or a sensor; each argument is an attribute of the same name.
    :param rules: by argument.
    :raises CleverSettingsError: naming every argument that is wrong.
    """
    found = ((name, rule(getattr(holder, name))) for name, rule in rules.items())
    if problems := [f"{name} {problem}" for name, problem in found if problem]:
        raise CleverSettingsError("; ".join(problems) + ".")


def text(value: object) -> str | None:
    """Text that is not blank."""
    if isinstance(value, str) and not value.strip():
        return "is empty: a template may have come out empty"
    return _no_text(value) if value is None else optional_text(value)


def optional_text(value: object) -> str | None:
    """Text, or None."""
    if value is None or (isinstance(value, str) and value.isprintable()):
        return None
    return "holds an invisible character" if isinstance(value, str) else _no_text(value)


def flag(value: object) -> str | None:
    """True or False; the text "False" is neither."""
    return None if isinstance(value, bool) else f"is {_shown(value)}, and must be True or False"


def whole_number(least: int, most: int | None = None) -> Rule:
    """A whole number in a range, both ends included."""
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def rule(value: object) -> str | None:
        is_in = type(value) is int and value >= least and (most is None or value <= most)
        return None if is_in else f"is {_shown(value)}, and must be a whole number {limits}"

    return rule


def number(least: float, most: float) -> Rule:
    """A number in a range, both ends included."""

    def rule(value: object) -> str | None:
        is_in = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        return None if is_in else f"is {_shown(value)}, and must be a number from {least:g} to {most:g}"

    return rule


def optional(rule: Rule) -> Rule:
    """The same rule, which None passes too."""
    return lambda value: None if value is None else rule(value)


def day(value: object) -> str | None:
    """A date, text that may be one, or None."""
    if isinstance(value, datetime):
        return "is a moment, not a date: give the date that you mean, as YYYY-MM-DD"
    return None if value is None or isinstance(value, str | date) else f"is {_shown(value)}, no date: write YYYY-MM-DD"


def moment(value: object) -> str | None:
    """An instant, text that may be one, or None."""
    if value is None or isinstance(value, str | datetime):
        return None
    return f"is {_shown(value)}, no moment: give ISO-8601, such as 2026-11-20T04:00:00Z"


def ids(value: object) -> str | None:
    """One id, several, or None. An empty result of a template must not mean every school."""
    if value is None or isinstance(value, str):
        return _EMPTY_ID if value in _NO_ID else None
    # A generator, which a native template gives for `ids | select`, would be consumed here and be empty later.
    if isinstance(value, bytes | Mapping) or not isinstance(value, Collection):
        return _no_text(value, "an id or a list of ids")
    found = list(value)
    if any(one is None or one in _NO_ID for one in found):
        return _EMPTY_ID
    wrong = next((one for one in found if not isinstance(one, str)), None)
    return None if wrong is None else f"holds {_no_text(wrong).removeprefix('is ')}"


WHOSE: Final[dict[str, Rule]] = {"district_id": optional_text, "clever_conn_id": text}
"""The rules of the arguments that every operator and the sensor have."""

_NO_ID: Final = ("", "None")
_EMPTY_ID: Final = (
    "holds an empty id: a template may have come out empty. Give Clever ids, or leave it out for all schools"
)


def _no_text(value: object, wanted: str = "text") -> str:
    because = (
        " (a template that is rendered to native objects makes numbers of ids; let this task render it as text)"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else ""
    )
    return f"is {_shown(value)}, and must be {wanted}{because}"


def _shown(value: object) -> str:
    """Show the value if it is short and plain, else its type: an argument may be anything."""
    if value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 128):
        return repr(value)
    return f"of type {type(value).__name__}"
