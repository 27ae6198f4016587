"""Tells Airflow which errors a retry cannot fix, and ends a failed task's log with the reason."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from airflow.sdk import BaseOperator

from airflow_provider_clever.compat import AirflowFailException
from airflow_provider_clever.exceptions import CleverError

log = logging.getLogger(__name__)

_failed: Final[dict[tuple[str, str], tuple[BaseOperator, Exception]]] = {}
"""The failed operators of this process and their errors, until they are logged: Airflow 3.1.0 executes a copy of the
task that its callbacks get, and up to 3.1 the callbacks of ``dag.test()`` get no error."""


@contextmanager
def failing_for_good(operator: BaseOperator) -> Iterator[None]:
    """Fail the task at once if a retry cannot help; leave every other error to Airflow's retries.

    :param operator: whose task it is.
    :raises AirflowFailException: instead of a permanent :class:`~airflow_provider_clever.exceptions.CleverError`.
    """
    try:
        yield
    except Exception as error:  # the log's last line names any error; every one is raised again
        _failed[operator.dag_id, operator.task_id] = operator, error
        if isinstance(error, CleverError) and error.permanent:
            # One traceback, that of the original error: Airflow logs it, and those of causes too.
            raise AirflowFailException(str(error)).with_traceback(error.__traceback__) from None
        raise


def end_log_with_reason(operator: BaseOperator) -> None:
    """Have the log of a task that failed end with one line that says why, for whom, where, and what to do.

    Airflow logs the traceback after the task has ended, and runs callbacks after that.

    :param operator: just made; callbacks that it was given run first.
    """
    operator.on_failure_callback = [*operator.on_failure_callback, _log_failure]
    operator.on_retry_callback = [*operator.on_retry_callback, _log_retry]


def _log_failure(context: Mapping[str, Any]) -> None:
    log.error("%s", _reason(context))


def _log_retry(context: Mapping[str, Any]) -> None:
    log.error("%s Airflow tries again.", _reason(context))


def _reason(context: Mapping[str, Any]) -> str:
    task = context["task"]
    task, error = _failed.pop((task.dag_id, task.task_id), (task, None))
    error = context.get("exception") or error
    about = {"district": _district(task), "destination": getattr(task, "destination", None)}
    where = ", ".join(f"{name} {value}" for name, value in about.items() if value)
    return f"{task.task_id} failed{f' for {where}' if where else ''}: {_text(error)}"


def _district(task: Any) -> str | None:
    found = getattr(task, "found_district", None)
    if found is None:
        return task.district_id or None
    return f"{found.name} ({found.id})" if found.name else str(found.id)


def _text(error: object) -> str:
    """Give the message of an error of ours or Airflow's; for any other only its class, as its text may hold data."""
    home = type(error).__module__.partition(".")[0]
    if error is None:  # the DAG processor runs callbacks for a worker that was lost
        return "the reason is unknown. What has landed is as it was; look at the log of the worker."
    if home not in ("airflow", "airflow_provider_clever"):
        return (
            f"an unexpected {type(error).__name__}. What has landed is as it was; look at the traceback above, and "
            "report it with the version of the provider."
        )
    text = " ".join(str(error).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
