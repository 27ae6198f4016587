"""Records a person's answer about rows that did not come back."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.answers import EVERY_DAY, WORDS, Answers, GivenAnswer, Word, update_answers
from airflow_provider_clever.storage.objects import Objects


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
    """Record a person's answer about rows that did not come back. The command line, runs and pages call this.

    :param objects: the destination.
    :param school_ids: the schools; empty: all that wait for an answer.
    :param word: ``deleted``, ``kept`` or ``unshared``.
    :param by: who answers.
    :param at: when, UTC.
    :param first: the first day. Default: the first of those that wait for an answer; for ``kept``, any day before too.
    :param last: the last day, included. Default: the last of those that wait for an answer.
    :param once: record nothing for a school with the same answer by the same person: a run has several tasks, and each
        may be tried again. Default False.
    :param asked_before: answer only questions from before this instant, UTC: a run's answer is not about what its own
        tasks find missing. Default: all.
    :returns: what was recorded.
    :raises CleverSettingsError: there is no such answer, or it is not clear which days are meant.
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

    update_answers(objects, district_id, next_answers)
    return said


def _meant(answers: Answers, school_id: str, word: Word, first: date | None, last: date | None) -> DateRange:
    layout.checked_id(school_id, "school id")
    question = answers.questions.get(school_id)
    if question is not None:
        # Who keeps rows keeps older ones too, which the next sweep would ask about; that takes nothing away.
        start = date.min if word == "kept" else question.withheld.days[0].first
        asked = DateRange(start, question.withheld.days[-1].last)
    elif word == "unshared" or (first and last):
        asked = EVERY_DAY
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
