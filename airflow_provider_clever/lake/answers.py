"""What a person has said of rows that did not come back, and which of them wait for a word: ``answers.json``.

It lies beside coverage and is changed by compare-and-swap, because tasks run side by side and whoever answers on a
command line or a page has no receipt. It holds ids of schools, days and counts, and who answered when; nothing of a
student. docs/reference/landed-files.md, "Answers".
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from airflow_provider_clever.dates import DateRange, covers, date_ranges, joined, subtracted
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
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

_EVERY_DAY: Final = DateRange(date.min, date.max)

JsonRange: TypeAlias = Annotated[DateRange, PlainValidator(DateRange.from_json), PlainSerializer(DateRange.to_json)]
"""A range of days that stands in JSON as its two ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Rows of a school that did not come back, and that nothing was concluded from.

    :param rows: how many did not come back.
    :param of: of how many live ones.
    :param days: the days that they belong to.
    :param since: when a pull first found them missing, UTC; it is the earliest of the pulls that still wait for a word.
    :param is_news: whether that was found for the first time, or has grown.
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
    """What waits for a word about one school.

    :param told_by: the id of the run that reported it last; a retry of the run reports it as the first try did.
    """

    name: str
    withheld: Withheld
    told_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    """What a person has said about days of a school.

    :param word: ``deleted``: what the next whole pull finds missing is deleted. ``kept``: what stands there stands,
        unmarked, until the rows return. ``unshared``: the school is no longer shared, the list is right.
    :param by: who said so.
    :param at: when, UTC.
    :param ended: for which runs and days it has done what it was given for.
    """

    school_id: str
    days: JsonRange
    word: Word
    by: str
    at: str
    ended: tuple[tuple[str, str, str], ...] = ()

    @property
    def identity(self) -> tuple[str, DateRange, str, str, str]:
        """What it says, and who said it when; without what has come of it."""
        return self.school_id, self.days, self.word, self.by, self.at

    def holds(self, day: str, key_id: str) -> bool:
        """Whether it still speaks of this day; for a retry of the run that used it up it does."""
        if date.fromisoformat(day) not in self.days:
            return False
        return not any(by != key_id and first <= day <= last for by, first, last in self.ended)


@dataclass(frozen=True, slots=True)
class Answers:
    """All that is asked and answered of one district.

    :param listed: the schools that the last list named which could be believed, where pulls fetch the list themselves.
    """

    district_id: str
    questions: Mapping[str, OpenQuestion] = field(default_factory=dict)
    given: tuple[GivenAnswer, ...] = ()
    listed: tuple[str, ...] = ()

    def word(self, school_id: str, day: str, key_id: str) -> Word | None:
        """What was last said about a school's day, if it still holds."""
        said = (one for one in reversed(self.given) if one.school_id == school_id and one.word != "unshared")
        latest = next((one for one in said if date.fromisoformat(day) in one.days), None)
        return latest.word if latest is not None and latest.holds(day, key_id) else None

    def has_word(self, school_id: str, word: Word) -> bool:
        """Whether this was ever said about any day of a school."""
        return any(one.school_id == school_id and one.word == word for one in self.given)

    @property
    def unshared(self) -> dict[str, str]:
        """The schools of which a person has said that they are no longer shared, and when that was said last.

        It holds until a list names the school again.
        """
        return {one.school_id: one.at for one in self.given if one.word == "unshared" and not one.ended}


def answers_path(district_id: str) -> str:
    """Where they are kept, relative to the destination."""
    return layout.our_path(district_id, "answers.json")


def read_answers(objects: Objects, district_id: str) -> Answers:
    """What is asked and answered of a district.

    :raises CleverLandingError: it cannot be read.
    """
    found = objects.read(answers_path(district_id))
    return _parsed(found and found[0], district_id)


def give_answer(
    objects: Objects,
    district_id: str,
    school_ids: Collection[str],
    word: Word,
    *,
    by: str,
    at: str,
    first: date | None = None,
    last: date | None = None,
    once: bool = False,
    asked_before: str | None = None,
) -> list[GivenAnswer]:
    """Say what has become of rows that did not come back. The command line, runs and pages call this.

    :param objects: the destination.
    :param school_ids: of which schools; empty: of all that wait for a word.
    :param word: ``deleted``, ``kept`` or ``unshared``.
    :param by: who says so.
    :param at: when, UTC.
    :param first: the first day. Default: the first of those that wait for a word; for ``kept``, any day before too.
    :param last: the last day, included. Default: the last of those that wait for a word.
    :param once: write nothing down of a school of which the same has said the same already: a run has several tasks,
        and each may be tried again. Default False.
    :param asked_before: of all that wait for a word mean those alone that waited before this instant, UTC: a run's
        answer is not about what its own tasks find missing. Default: all.
    :returns: what was written down.
    :raises CleverSettingsError: the word is none, or it is not clear which days are meant.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    if word not in WORDS:
        raise CleverSettingsError(f"An answer is one of {', '.join(WORDS)}; {word!r} is none.")
    if first and last and first > last:
        raise CleverSettingsError(f"The first day, {first}, lies after the last, {last}; swap them.")
    said: list[GivenAnswer] = []

    def waiting(answers: Answers) -> list[str]:
        if once and any(one.by == by and one.word == word for one in answers.given):
            return []
        return sorted(
            school_id
            for school_id, question in answers.questions.items()
            if asked_before is None or question.withheld.since < asked_before
        )

    def next_answers(answers: Answers) -> Answers:
        known = {(one.school_id, one.word) for one in answers.given if once and one.by == by}
        said[:] = [
            GivenAnswer(
                school_id=school_id, days=_meant(answers, school_id, word, first, last), word=word, by=by, at=at
            )
            for school_id in (school_ids or waiting(answers))
            if (school_id, word) not in known
        ]
        return replace(answers, given=(*answers.given, *said))

    _update(objects, district_id, next_answers)
    return said


def _meant(answers: Answers, school_id: str, word: Word, first: date | None, last: date | None) -> DateRange:
    layout.checked_id(school_id, "school id")
    question = answers.questions.get(school_id)
    if question is not None:
        # Who keeps rows keeps older ones too, which the next sweep would ask about; that takes nothing away.
        start = date.min if word == "kept" else question.withheld.days[0].first
        asked = DateRange(start, question.withheld.days[-1].last)
    elif word == "unshared" or (first and last):
        asked = _EVERY_DAY
    else:
        raise CleverSettingsError(
            f"No rows of school {school_id} wait for a word, so say of which days you speak: give the first and the "
            "last, or check the id of the school."
        )
    meant = DateRange(first or asked.first, last or asked.last)
    if meant.first > meant.last:
        raise CleverSettingsError(
            f"The rows of school {school_id} that wait for a word are those of {asked.first} to {asked.last}, and none "
            "of these days is meant. Give both the first and the last day, or leave them out."
        )
    return meant


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolOutcome:
    """What a pull has found out about one school.

    :param window: the days that it walked.
    :param withheld: what it concluded nothing from; None: nothing was withheld.
    :param ended: days on which an answer has done what it was given for.
    """

    name: str
    window: DateRange
    withheld: Withheld | None = None
    ended: tuple[str, ...] = ()


def _as_reported(answers: Answers, school_id: str, found: Withheld, key_id: str) -> Withheld:
    """The same with the day since when, and whether it is news, as far as what was told before decides that."""
    before = answers.questions.get(school_id)
    if before is None:
        return found
    more_days = not covers(before.withheld.days, found.days)
    is_news = before.told_by == key_id or more_days or found.rows > before.withheld.rows
    return replace(found, since=min(before.withheld.since, found.since), is_news=is_news)


def note(
    objects: Objects,
    answers: Answers,
    key_id: str,
    found: Mapping[str, SchoolOutcome],
    listed: Collection[str] | None = None,
) -> dict[str, Withheld]:
    """Write down what a pull has found out: questions that are new, and those that have settled themselves.

    :param answers: as they were read before the pull; if nothing of them changes, nothing is read or written.
    :param key_id: the id of the run's idempotency key.
    :param found: by school.
    :param listed: the schools that a list names which can be believed; None: there was none.
    :returns: what is withheld, with since when and whether that is news.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    result: dict[str, Withheld] = {}

    def next_answers(now: Answers) -> Answers:
        result.clear()
        questions = dict(now.questions)
        for school_id, one in found.items():
            question = questions.pop(school_id, None)
            if one.withheld is not None:
                withheld = _as_reported(now, school_id, one.withheld, key_id)
                result[school_id] = withheld
                earlier = question.withheld if question else withheld
                whole = replace(
                    withheld,
                    rows=max(withheld.rows, earlier.rows),
                    of=max(withheld.of, earlier.of),
                    days=joined([*withheld.days, *subtracted(earlier.days, [one.window])]),
                )
                teller = key_id if withheld.is_news or question is None else question.told_by
                questions[school_id] = OpenQuestion(name=one.name, withheld=whole, told_by=teller)
            elif question is not None and (rest := subtracted(question.withheld.days, [one.window])):
                questions[school_id] = replace(question, withheld=replace(question.withheld, days=rest))
        given = tuple(
            _ended(one, found.get(one.school_id), key_id, newly or ()) if one.identity in heeded else one
            for one in now.given
        )
        return replace(now, questions=questions, given=given, listed=now.listed if newly is None else newly)

    heeded = {one.identity for one in answers.given}  # what was said since then, the pull did not know
    newly = None if listed is None else tuple(sorted(listed))
    if newly not in (None, answers.listed) or any(
        one.withheld or one.ended or school_id in answers.questions for school_id, one in found.items()
    ):
        _update(objects, answers.district_id, next_answers)
    return result


def _ended(one: GivenAnswer, found: SchoolOutcome | None, key_id: str, listed: Collection[str]) -> GivenAnswer:
    if one.word == "unshared":
        is_back = one.school_id in listed and not one.ended
        return replace(one, ended=(_ended_for(key_id, _EVERY_DAY),)) if is_back else one
    if found is None:
        return one
    done = date_ranges(date.fromisoformat(day) for day in found.ended if one.holds(day, key_id))
    new = [ended for days in done if (ended := _ended_for(key_id, days)) not in one.ended]
    return replace(one, ended=(*one.ended, *new))


def _ended_for(key_id: str, days: DateRange) -> tuple[str, str, str]:
    first, last = days.to_json()
    return key_id, first, last


def _update(objects: Objects, district_id: str, change: Callable[[Answers], Answers]) -> None:
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
    """Give it as values that JSON has a form for."""
    document: dict[str, Any] = _part_adapter().dump_python(one, mode="json")
    return document


def _unusable(district_id: str, why: str) -> CleverLandingError:
    return CleverLandingError(
        f"{answers_path(district_id)} cannot be used: {why}. Restore an earlier version of it, or move it away; what "
        "was answered there must then be answered again"
    )
