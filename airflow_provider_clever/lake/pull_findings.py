"""Records what a pull has found: rows that wait for an answer, and answers that have been used."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date

from airflow_provider_clever.dates import DateRange, covers, date_ranges, joined, subtracted
from airflow_provider_clever.lake.answers import (
    EVERY_DAY,
    Answers,
    GivenAnswer,
    OpenQuestion,
    Withheld,
    update_answers,
)
from airflow_provider_clever.storage.objects import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolOutcome:
    """What a pull has found about one school.

    :param window: the days that it walked.
    :param withheld: the rows from which it concluded nothing; None: nothing was withheld.
    :param ended: days for which an answer has been used.
    """

    name: str
    window: DateRange
    withheld: Withheld | None = None
    ended: tuple[str, ...] = ()


def _as_reported(answers: Answers, school_id: str, found: Withheld, key_id: str) -> Withheld:
    """The same with the day since when, and whether it is news, as far as what was reported before decides that."""
    before = answers.questions.get(school_id)
    if before is None:
        return found
    more_days = not covers(before.withheld.days, found.days)
    is_news = before.told_by == key_id or more_days or found.rows > before.withheld.rows
    return replace(found, since=min(before.withheld.since, found.since), is_news=is_news)


def note_findings(
    objects: Objects,
    answers: Answers,
    key_id: str,
    found: Mapping[str, SchoolOutcome],
    listed: Collection[str] | None = None,
) -> dict[str, Withheld]:
    """Record what a pull has found: new questions, and those that no longer need an answer.

    :param answers: the answers before the pull; if nothing changes, nothing is read or written.
    :param key_id: the id of the run's idempotency key.
    :param found: by school.
    :param listed: the schools that a list names that can be trusted; None: there was none.
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

    heeded = {one.identity for one in answers.given}  # the pull did not know answers that were given since
    newly = None if listed is None else tuple(sorted(listed))
    if newly not in (None, answers.listed) or any(
        one.withheld or one.ended or school_id in answers.questions for school_id, one in found.items()
    ):
        update_answers(objects, answers.district_id, next_answers)
    return result


def _ended(one: GivenAnswer, found: SchoolOutcome | None, key_id: str, listed: Collection[str]) -> GivenAnswer:
    if one.word == "unshared":
        is_back = one.school_id in listed and not one.ended
        return replace(one, ended=(_ended_for(key_id, EVERY_DAY),)) if is_back else one
    if found is None:
        return one
    done = date_ranges(date.fromisoformat(day) for day in found.ended if one.holds(day, key_id))
    new = [ended for days in done if (ended := _ended_for(key_id, days)) not in one.ended]
    return replace(one, ended=(*one.ended, *new))


def _ended_for(key_id: str, days: DateRange) -> tuple[str, str, str]:
    first, last = days.to_json()
    return key_id, first, last
