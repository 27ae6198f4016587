"""Keeps in ``answers.json`` which missing rows wait for a person's answer, and the answers that were given.

It is beside coverage and is changed by compare-and-swap, because tasks run side by side and a person who answers on a
command line or a page leaves no receipt. It holds ids of schools, days and counts, and who answered when; nothing about
a student. docs/reference/landed-files.md, "Answers".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.objects import Objects

SCHEMA_VERSION: Final = 1

Word: TypeAlias = Literal["deleted", "kept", "unshared"]
WORDS: Final[tuple[Word, ...]] = ("deleted", "kept", "unshared")

HOW_TO_ANSWER: Final = (
    "If Clever has them again, the next run takes them up by itself. Otherwise ask the district, and answer: "
    "`clever-attendance answer DESTINATION --district ID --school ID --deleted` (the next pull marks them) or `--kept` "
    "(they stand as they are until they return); a run takes the same as its param `missing_rows`"
)
"""The next step wherever rows were withheld."""

EVERY_DAY: Final = DateRange(date.min, date.max)

JsonRange: TypeAlias = Annotated[DateRange, PlainValidator(DateRange.from_json), PlainSerializer(DateRange.to_json)]
"""A range of days, written in JSON as its two ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Rows of a school that did not come back, and from which nothing was concluded.

    :param rows: how many did not come back.
    :param of: of how many live ones.
    :param days: the days that they belong to.
    :param since: when a pull first found them missing, UTC; the earliest of the pulls that still wait for an answer.
    :param is_news: whether this is new, or more than before.
    :param reason: why nothing was concluded, in words.
    """

    rows: int
    of: int
    days: tuple[JsonRange, ...]
    since: str
    is_news: bool = True
    reason: str = ""

    def __str__(self) -> str:
        first, last, count = self.days[0].first, self.days[-1].last, sum(one.days for one in self.days)
        when = first if count == 1 else f"{first} to {last} ({count} days)"
        return f"{when}: {self.rows:,} of {self.of:,} landed rows did not come back, since {self.since[:16]}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """The question about one school that waits for an answer.

    :param told_by: the id of the run that reported it last; a retry of the run reports it as the first try did.
    """

    name: str
    withheld: Withheld
    told_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    """A person's answer about days of a school.

    :param word: ``deleted``: what the next whole pull finds missing is deleted. ``kept``: the landed rows stay
        unmarked until they return. ``unshared``: the school is no longer shared, the list is right.
    :param by: who answered.
    :param at: when, UTC.
    :param ended: the runs and days for which the answer has been used.
    """

    school_id: str
    days: JsonRange
    word: Word
    by: str
    at: str
    ended: tuple[tuple[str, str, str], ...] = ()

    @property
    def identity(self) -> tuple[str, DateRange, str, str, str]:
        """The answer, who gave it and when; without its use."""
        return self.school_id, self.days, self.word, self.by, self.at

    def holds(self, day: str, key_id: str) -> bool:
        """Whether the answer still holds for this day; for a retry of the run that has used it, it does."""
        if date.fromisoformat(day) not in self.days:
            return False
        return not any(by != key_id and first <= day <= last for by, first, last in self.ended)


@dataclass(frozen=True, slots=True)
class Answers:
    """The questions and answers about one district.

    :param listed: the schools that the last list named that could be trusted, where pulls fetch the list themselves.
    """

    district_id: str
    questions: Mapping[str, OpenQuestion] = field(default_factory=dict)
    given: tuple[GivenAnswer, ...] = ()
    listed: tuple[str, ...] = ()

    def word(self, school_id: str, day: str, key_id: str) -> Word | None:
        """Give the last answer about a school's day, if it still holds."""
        said = (one for one in reversed(self.given) if one.school_id == school_id and one.word != "unshared")
        latest = next((one for one in said if date.fromisoformat(day) in one.days), None)
        return latest.word if latest is not None and latest.holds(day, key_id) else None

    def has_word(self, school_id: str, word: Word) -> bool:
        """Whether this answer was ever given about any day of a school."""
        return any(one.school_id == school_id and one.word == word for one in self.given)

    @property
    def unshared(self) -> dict[str, str]:
        """Give the schools that are no longer shared according to a person, and the time of the last such answer.

        It holds until a list names the school again.
        """
        return {one.school_id: one.at for one in self.given if one.word == "unshared" and not one.ended}


def answers_path(district_id: str) -> str:
    """Give the file's path, relative to the destination."""
    return layout.our_path(district_id, "answers.json")


def read_answers(objects: Objects, district_id: str) -> Answers:
    """Read the questions and answers about a district.

    :raises CleverLandingError: it cannot be read.
    """
    found = objects.read(answers_path(district_id))
    return _parsed(found and found[0], district_id)


def update_answers(objects: Objects, district_id: str, change: Callable[[Answers], Answers]) -> None:
    """Read the file, and write what ``change`` makes of it; again if another writer was faster.

    :raises CleverLandingError: they cannot be read or written.
    """

    def next_data(data: bytes | None) -> bytes | None:
        before = _parsed(data, district_id)
        after = change(before)
        return None if after == before else _encoded(after)

    objects.update(answers_path(district_id), next_data)


def _encoded(answers: Answers) -> bytes:
    document = {
        "schema_version": SCHEMA_VERSION,
        "district_id": answers.district_id,
        "questions": {school_id: to_json(one) for school_id, one in sorted(answers.questions.items())},
        "answers": [to_json(one) for one in answers.given],
        "listed": list(answers.listed),
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _parsed(data: bytes | None, district_id: str) -> Answers:
    if data is None:
        return Answers(district_id)
    try:
        document = json.loads(data)
        if document["schema_version"] > SCHEMA_VERSION:
            raise _unusable(district_id, "a newer version of airflow-provider-clever wrote it; upgrade this one")
        if document["district_id"] != district_id:
            raise _unusable(district_id, "it is another district's")
        questions, given = _adapter().validate_python((document["questions"], document["answers"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _unusable(district_id, "it is damaged") from None
    return Answers(district_id, questions, given, tuple(document.get("listed", ())))


@cache
def _adapter() -> TypeAdapter[tuple[dict[str, OpenQuestion], tuple[GivenAnswer, ...]]]:
    return TypeAdapter(tuple[dict[str, OpenQuestion], tuple[GivenAnswer, ...]])


@cache
def _part_adapter() -> TypeAdapter[Withheld | OpenQuestion | GivenAnswer]:
    return TypeAdapter(Withheld | OpenQuestion | GivenAnswer)


def to_json(one: Withheld | OpenQuestion | GivenAnswer) -> dict[str, Any]:
    """Give it as values that can be written as JSON."""
    document: dict[str, Any] = _part_adapter().dump_python(one, mode="json")
    return document


def _unusable(district_id: str, why: str) -> CleverLandingError:
    return CleverLandingError(
        f"{answers_path(district_id)} cannot be used: {why}. Restore an earlier version of it, or move it away; what "
        "was answered there must then be answered again"
    )
