"""Decides when a task is tried again, where Airflow lets the task decide (Airflow 3.3)."""

from datetime import timedelta
from typing import Any, Final

from airflow.sdk import BaseOperator

from airflow_provider_clever.compat import RetryDecision, RetryPolicy
from airflow_provider_clever.exceptions import CleverRateLimitError

_WINDOW: Final = timedelta(seconds=60)
"""Clever counts a token's requests in fixed windows of this length (clever-api.md 4)."""


class CleverRetryPolicy(RetryPolicy):
    """Tries again as soon as a spent budget is reset; every other error keeps the task's ``retry_delay``.

    A refused token is not tried again in any Airflow version: like every permanent error it fails the task for good.
    """

    def evaluate(self, exception: BaseException, *_: Any, **__: Any) -> Any:
        """Decide about a try that failed.

        :param exception: what it failed with.
        """
        if isinstance(exception, CleverRateLimitError):
            return RetryDecision.retry(_WINDOW, "the token's budget is whole again in Clever's next window")
        return RetryDecision.default()


def use_retry_policy(operator: BaseOperator) -> None:
    """Give an operator the policy, unless it was given one, or this Airflow knows none.

    :param operator: just made. As a default among its arguments ``partial`` would override it with None.
    """
    if RetryPolicy is not object and operator.retry_policy is None:
        operator.retry_policy = CleverRetryPolicy()
