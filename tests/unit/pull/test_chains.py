"""Every day of every school is asked for once, in few walks, and in enough of them."""

from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.pull.chains import Chain, Scope, plan_chains
from airflow_provider_clever.pull.question import Question

SCHOOL_IDS = [f"65e0{n:020d}" for n in range(200)]
DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))


def days_of(chain: Chain) -> list[date]:
    start, end = date.fromisoformat(chain.query.start), date.fromisoformat(chain.query.end)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def cut_where_one_page_holds_one_day(chains: list[Chain]) -> list[Chain]:
    return [piece for chain in chains for piece in chain.cut(chain.days.first) or [chain]]


@given(
    schools=st.integers(1, 60),
    first_day=DAYS,
    length=st.integers(1, 190),
    concurrency=st.integers(1, 32),
    reached=st.integers(0, 189),
)
def test_every_day_of_every_school_is_asked_for_once_whether_it_is_cut_or_not(
    schools: int, first_day: date, length: int, concurrency: int, reached: int
):
    last_day = first_day + timedelta(days=length - 1)

    walks = plan_chains(Scope.SCHOOL, SCHOOL_IDS[:schools], first_day, last_day, concurrency=concurrency)
    on_first_page = min(last_day, first_day + timedelta(days=reached))
    chains = [piece for walk in walks for piece in walk.cut(on_first_page) or [walk]]

    asked = Counter((chain.scope_id, day) for chain in chains for day in days_of(chain))
    assert set(asked.values()) == {1}
    assert len(asked) == schools * length


@given(schools=st.integers(1, 200), length=st.integers(1, 190), concurrency=st.integers(1, 32))
def test_there_are_never_more_walks_than_schools_plus_what_keeps_the_threads_busy(
    schools: int, length: int, concurrency: int
):
    first_day = date(2026, 3, 2)

    chains = plan_chains(
        Scope.SCHOOL, SCHOOL_IDS[:schools], first_day, first_day + timedelta(days=length - 1), concurrency=concurrency
    )

    assert len(chains) == schools
    pieces = len(cut_where_one_page_holds_one_day(chains))
    assert pieces == schools or pieces < 4 * concurrency + schools


@given(schools=st.integers(1, 200), concurrency=st.integers(1, 32))
def test_equal_schools_keep_most_threads_busy_to_the_end(schools: int, concurrency: int):
    first_day = date(2026, 3, 2)

    chains = plan_chains(
        Scope.SCHOOL, SCHOOL_IDS[:schools], first_day, first_day + timedelta(days=181), concurrency=concurrency
    )

    pieces = len(cut_where_one_page_holds_one_day(chains))
    rounds = -(-pieces // concurrency)
    assert pieces / (rounds * concurrency) >= (2 / 3 if schools >= 2 * concurrency else 4 / 5)


@pytest.mark.parametrize(
    ("schools", "concurrency", "walks_each"),
    [(40, 16, 1), (50, 16, 1), (20, 16, 2), (4, 32, 8), (4, 16, 4), (1, 16, 16), (6, 16, 5)],
)
def test_a_school_is_cut_as_far_as_it_takes_and_no_thread_stays_idle(schools: int, concurrency: int, walks_each: int):
    chains = plan_chains(
        Scope.SCHOOL, SCHOOL_IDS[:schools], date(2026, 3, 2), date(2026, 8, 30), concurrency=concurrency
    )

    assert len(cut_where_one_page_holds_one_day(chains)) == schools * walks_each


@pytest.mark.parametrize(
    ("pages", "reached", "pieces"),
    [("two", date(2026, 3, 12), 0), ("three", date(2026, 3, 9), 3), ("one for each day", date(2026, 3, 2), 15)],
)
def test_a_school_is_cut_into_about_as_many_ranges_as_its_first_page_tells_that_it_has_pages(
    pages: str, reached: date, pieces: int
):
    three_weeks = (date(2026, 3, 2), date(2026, 3, 20))

    [walk] = plan_chains(Scope.SCHOOL, SCHOOL_IDS[:1], *three_weeks, concurrency=16)

    assert len(walk.cut(reached)) == pieces, pages


@pytest.mark.parametrize(("schools", "expected", "walks"), [(1, 1, 1), (1, 4, 4), (1, 40, 16), (4, 4, 4), (4, 8, 8)])
def test_a_school_is_not_cut_into_more_ranges_than_it_is_expected_to_have_pages(
    schools: int, expected: int, walks: int
):
    question = Question(
        first_day=date(2026, 3, 2),
        last_day=date(2026, 8, 30),
        school_ids=tuple(SCHOOL_IDS[:schools]),
        expected_requests=expected,
    )
    assert len(question.chains((), max_concurrency=16)) == walks


def test_the_days_that_expire_first_are_asked_for_first():
    chains = plan_chains(Scope.SCHOOL, SCHOOL_IDS[:3], date(2026, 3, 2), date(2026, 8, 30), concurrency=16)

    starts = [chain.query.start for chain in chains]
    assert starts == sorted(starts)


def test_only_an_unfiltered_walk_of_a_school_is_whole():
    day = date(2026, 3, 2)

    [school] = plan_chains(Scope.SCHOOL, SCHOOL_IDS[:1], day, day, concurrency=1)
    [section] = plan_chains(Scope.SECTION, SCHOOL_IDS[:1], day, day, concurrency=1)
    [filtered] = plan_chains(Scope.SCHOOL, SCHOOL_IDS[:1], day, day, concurrency=1, attendance_status="absent")

    assert [school.whole, section.whole, filtered.whole] == [True, False, False]


@pytest.mark.parametrize("school_id", ["../x", "", "a/b", "a?b=c", "x" * 65], ids=repr)
def test_an_id_that_could_leave_its_path_is_refused(school_id: str):
    with pytest.raises(CleverSettingsError):
        plan_chains(Scope.SCHOOL, [school_id], date(2026, 3, 2), date(2026, 3, 2), concurrency=1)
