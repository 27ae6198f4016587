"""When an absence is a deletion: the rows of the table, and what no evidence may lead to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.attendance.absence import (
    AbsenceRules,
    DayEvidence,
    SchoolEvidence,
    Verdict,
    amount,
    judge,
    judge_run,
    token,
    unlisted,
)

RULES = AbsenceRules()
NOW = "2026-04-20T01:00:00.000000Z"


def evidence(live: int, unseen: int, *, students: int = 10, day: str = "d") -> DayEvidence:
    tokens = b"".join(token(f"student{n % students}", (day, str(n))) for n in range(unseen))
    return DayEvidence(live=live, unseen=unseen, fresh=unseen, tokens=tokens, asked_at=NOW)


def window(*unseen: int, live: int = 100, students: int = 10) -> dict[str, DayEvidence]:
    return {str(n): evidence(live, gone, students=students, day=str(n)) for n, gone in enumerate(unseen)}


TABLE = {
    "everything came back": (window(0, 0, 0), Verdict.NOTHING, Verdict.NOTHING),
    "a tenth": (window(10, 10, 10), Verdict.MARK, Verdict.MARK),
    "one row more": (window(10, 10, 11), Verdict.CONFIRM, Verdict.WITHHOLD),
    "two students": (window(60, 60, 60, students=2), Verdict.MARK, Verdict.MARK),
    "three students": (window(60, 60, 60, students=3), Verdict.CONFIRM, Verdict.WITHHOLD),
    "a snow day": (window(0, 100, 0), Verdict.CONFIRM, Verdict.MARK),
    "a snow day of a long window": (window(*[0] * 19, 100), Verdict.CONFIRM, Verdict.MARK),
    "a snow day, and corrections": (window(5, 100, 5), Verdict.CONFIRM, Verdict.MARK),
    "a snow day, and more": (window(30, 100, 30), Verdict.CONFIRM, Verdict.WITHHOLD),
    "two days of three": (window(100, 100, 0), Verdict.CONFIRM, Verdict.WITHHOLD),
    "nothing came back": (window(100, 100, 100), Verdict.CONFIRM, Verdict.WITHHOLD),
    "nothing of a tiny school": (window(100, 100, students=1), Verdict.CONFIRM, Verdict.WITHHOLD),
    "a single day that is gone": (window(100), Verdict.CONFIRM, Verdict.UNSETTLED),
    "a single day, half of it": (window(50), Verdict.CONFIRM, Verdict.UNSETTLED),
    "a single day, a little": (window(5), Verdict.MARK, Verdict.MARK),
    "one known day among empty ones": (window(100) | {"x": evidence(0, 0)}, Verdict.CONFIRM, Verdict.UNSETTLED),
}


@pytest.mark.parametrize(("days", "first", "second"), TABLE.values(), ids=TABLE)
def test_the_table(days: dict[str, DayEvidence], first: Verdict, second: Verdict) -> None:
    assert judge(days, RULES, is_confirmed=False) is first
    assert judge(days, RULES, is_confirmed=True) is second


WINDOWS = st.lists(st.integers(0, 40), min_size=1, max_size=8).map(lambda unseen: window(*unseen, live=40, students=7))


@given(WINDOWS)
def test_a_single_answer_never_marks_more_than_the_bound(days: dict[str, DayEvidence]) -> None:
    if judge(days, RULES, is_confirmed=False) is Verdict.MARK:
        students = {
            found.tokens[at : at + 4] for found in days.values() for at in range(0, len(found.tokens or b""), 16)
        }
        assert not amount(days).exceeds(RULES.school_percent) or len(students) <= RULES.students


@given(WINDOWS)
def test_a_second_look_only_ever_ends_a_doubt(days: dict[str, DayEvidence]) -> None:
    first, second = (judge(days, RULES, is_confirmed=confirmed) for confirmed in (False, True))
    assert second is not Verdict.CONFIRM
    assert first is Verdict.CONFIRM or first is second


@given(WINDOWS, WINDOWS)
def test_rows_that_come_in_either_walk_have_come_back(
    one: dict[str, DayEvidence], other: dict[str, DayEvidence]
) -> None:
    first, again = SchoolEvidence(), SchoolEvidence()
    for school, days in ((first, one), (again, other)):
        for day, found in days.items():
            school.add(day, found)
    both = first.confirmed_by(again).days
    for day, found in both.items():
        assert found.unseen <= one[day].unseen
        if found.tokens and day in other:
            assert found.unseen <= other[day].unseen


def test_nothing_is_marked_of_a_day_that_only_one_of_two_walks_can_speak_of() -> None:
    first, again = SchoolEvidence(), SchoolEvidence()
    for day, found in window(0, 40, 0).items():
        first.add(day, found)
    again.add("1", None)
    both = first.confirmed_by(again).days
    assert judge(both, RULES, is_confirmed=True) is Verdict.WITHHOLD


def test_a_little_of_many_schools_is_doubted_together_and_a_snow_day_of_all_is_not() -> None:
    little = {str(n): window(7, 7, 7) for n in range(3)}
    assert set(judge_run(little, RULES, confirmed=()).values()) == {Verdict.CONFIRM}
    assert set(judge_run(little, RULES, confirmed=little).values()) == {Verdict.WITHHOLD}
    two = {name: little[name] for name in ("0", "1")}
    assert set(judge_run(two, RULES, confirmed=()).values()) == {Verdict.MARK}
    snow = {str(n): window(0, 100, 0) for n in range(5)}
    assert set(judge_run(snow, RULES, confirmed=snow).values()) == {Verdict.MARK}


def test_more_rows_than_are_kept_in_memory_are_never_marked_unless_somebody_said_so() -> None:
    many = DayEvidence(live=1_000_000, unseen=60_000, fresh=60_000, tokens=bytes(16 * 60_000), asked_at=NOW)
    for keeps_all, verdict in ((False, Verdict.CONFIRM), (True, Verdict.MARK)):
        school = SchoolEvidence(keeps_all=keeps_all)
        for day in "abc":
            school.add(day, many)
        assert judge(school.days, RULES, is_confirmed=False) is verdict


@pytest.mark.parametrize(
    ("known", "listed", "left_out"),
    [
        (10, 10, None),
        (10, 9, None),
        (10, 8, 2),
        (30, 27, None),
        (30, 26, 4),
        (2, 1, None),
        (3, 0, 0),
        (0, 0, 0),
        (0, 4, None),
    ],
)
def test_a_list_that_leaves_out_more_than_a_tenth_and_two_schools_is_not_believed(known, listed, left_out) -> None:
    names = [f"s{n:02}" for n in range(40)]
    found = unlisted(names[:known], names[:listed])
    assert (None if found is None else len(found)) == left_out
