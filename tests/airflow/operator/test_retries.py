"""When a task is tried again, where Airflow lets the task decide."""

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_clever.exceptions import CleverLandingError, CleverRateLimitError
from airflow_provider_clever.operators.clever import CleverAttendanceOperator, CleverListSchoolsOperator
from tests.support.features import ExceptionRetryPolicy

has_policies = pytest.mark.skipif(ExceptionRetryPolicy is None, reason="this Airflow has no retry policies")
SPENT = CleverRateLimitError(429, "/v3.1/districts", "Too many requests.", 6)


def mapped_task() -> Any:
    with DAG("a_dag", schedule=None):
        mapped = CleverAttendanceOperator.partial(task_id="pull").expand(school_ids=["a", "b"])
    return mapped.unmap({"school_ids": "a"})


@has_policies
@pytest.mark.parametrize("make", [lambda: CleverListSchoolsOperator(task_id="list"), mapped_task])
def test_a_spent_budget_is_tried_again_with_clevers_next_window(make: Any) -> None:
    policy = make().retry_policy
    assert policy.evaluate(exception=SPENT, try_number=1, max_tries=3, context=None).retry_delay == timedelta(minutes=1)
    other = policy.evaluate(exception=CleverLandingError("no room"), try_number=1, max_tries=3, context=None)
    assert (other.action.value, other.retry_delay) == ("default", None)


@has_policies
def test_a_policy_of_the_user_stands() -> None:
    own = ExceptionRetryPolicy(rules=[])
    assert CleverListSchoolsOperator(task_id="list", retry_policy=own).retry_policy is own
    with DAG("a_dag", schedule=None, default_args={"retry_policy": own}):
        assert CleverListSchoolsOperator(task_id="list").retry_policy is own


@pytest.mark.skipif(ExceptionRetryPolicy is not None, reason="this Airflow has retry policies")
def test_without_policies_a_task_keeps_its_own_delay() -> None:
    made = CleverListSchoolsOperator(task_id="list", retry_delay=timedelta(minutes=5))
    assert getattr(made, "retry_policy", None) is None
    assert made.retry_delay == timedelta(minutes=5)
