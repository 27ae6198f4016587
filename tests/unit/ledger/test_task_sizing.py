"""Tasks: few, none too long, oldest days first, and everything that was wanted is in them."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.ledger.task_sizing import (
    MappingLimits,
    SchoolSpan,
    batches_of,
    expected_requests,
    sized_tasks,
)

FIRST = date(2026, 5, 24)

spans = st.builds(
    lambda start, length: DateRange(FIRST + timedelta(days=start), FIRST + timedelta(days=start + length)),
    st.integers(0, 180),
    st.integers(0, 184),
)
wanted_lists = st.lists(
    st.builds(SchoolSpan, st.sampled_from([f"s{n:02d}" for n in range(40)]), spans, st.floats(0, 20_000)),
    max_size=60,
)


@given(wanted_lists, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_every_school_and_day_that_is_wanted_is_in_a_task_and_tasks_are_not_too_many(
    wanted: list[SchoolSpan], most_tasks: int
) -> None:
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=most_tasks)
    asked = {(school_id, day) for task in tasks for school_id in task.school_ids for day in task.span}
    assert {(one.school_id, day) for one in wanted for day in one.span} <= asked
    assert len(tasks) <= most_tasks
    assert all(len(set(task.school_ids)) == len(task.school_ids) for task in tasks)


@given(wanted_lists)
@settings(max_examples=200, deadline=None)
def test_tasks_come_in_the_order_in_which_their_days_expire_and_none_is_too_long(wanted: list[SchoolSpan]) -> None:
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=1000)
    assert [task.span.first for task in tasks] == sorted(task.span.first for task in tasks)
    rows = {one.school_id: one.rows_per_weekday for one in wanted}
    # Nothing shorter than a school day can be asked for, so one school's one day may be longer than that.
    assert all(task.requests <= 1000 or (len(task.school_ids) == 1 and task.span.weekdays <= 1) for task in tasks), rows


def test_schools_that_need_the_same_days_share_one_task() -> None:
    fortnight = DateRange(date(2026, 11, 9), date(2026, 11, 23))
    wanted = [SchoolSpan(f"s{n:02d}", fortnight, 500.0) for n in range(50)]
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=1000)
    assert [(len(task.school_ids), task.span, task.requests) for task in tasks] == [(50, fortnight, 300)]


def test_a_first_pull_of_large_schools_is_cut_in_time_before_it_is_cut_by_school() -> None:
    retained = DateRange(date(2026, 5, 24), date(2026, 11, 23))
    wanted = [SchoolSpan(f"s{n:02d}", retained, 2000.0) for n in range(40)]
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=1000)
    least = 40 * expected_requests(retained, 2000.0)
    assert sum(task.requests for task in tasks) <= 1.02 * least
    assert all(300 <= task.requests <= 1000 for task in tasks)
    assert len({task.span for task in tasks}) > 4
    oldest = {school_id for task in tasks if task.span.first == retained.first for school_id in task.school_ids}
    assert len(oldest) == 40


def test_a_district_of_many_small_schools_is_not_cut_in_time() -> None:
    retained = DateRange(date(2026, 5, 24), date(2026, 11, 23))
    wanted = [SchoolSpan(f"s{n:03d}", retained, 50.0) for n in range(500)]
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=1000)
    assert {task.span for task in tasks} == {retained}
    assert sum(task.requests for task in tasks) == 500 * 7
    assert len(tasks) == 6


def test_a_straggler_does_not_make_everybody_ask_for_its_days() -> None:
    fortnight, month = (
        DateRange(date(2026, 11, 9), date(2026, 11, 23)),
        DateRange(date(2026, 10, 23), date(2026, 11, 23)),
    )
    wanted = [SchoolSpan(f"s{n:02d}", fortnight, 500.0) for n in range(50)] + [SchoolSpan("late", month, 500.0)]
    tasks = sized_tasks(wanted, task_requests=600, most_tasks=1000)
    assert [(task.school_ids[0], len(task.school_ids), task.span) for task in tasks] == [
        ("late", 1, month),
        ("s00", 50, fortnight),
    ]


def test_arguments_are_what_the_pulling_task_takes() -> None:
    (task,) = sized_tasks(
        [SchoolSpan("a", DateRange(date(2026, 11, 2), date(2026, 11, 3)), 10.0)], task_requests=600, most_tasks=9
    )
    assert task.arguments() == {
        "school_ids": ["a"],
        "date_range_start": "2026-11-02",
        "date_range_end": "2026-11-03",
        "expected_requests": 1,
    }


@given(st.integers(1, 1500), st.integers(1, 100), st.integers(1, 1024))
def test_a_list_is_cut_into_batches_of_the_size_that_was_asked_for_or_larger_ones_if_there_were_too_many(
    schools: int, batch_size: int, most: int
) -> None:
    ids = [f"s{number}" for number in range(schools)]
    batches = batches_of(ids, batch_size, most)
    assert [one for batch in batches for one in batch] == ids
    assert len(batches) <= most
    assert len(batches[0]) == min(schools, max(batch_size, -(-schools // most)))


def test_tasks_that_run_one_after_another_do_more_each() -> None:
    assert MappingLimits().task_requests < MappingLimits(parallelism=1).task_requests
    assert MappingLimits(parallelism=0, max_active_tasks=0).task_requests == MappingLimits().task_requests
    assert str(MappingLimits(max_active_tasks=4)) == "Airflow maps over at most 1,024, 4 of them at once"
