"""What an error of ours means to Airflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_clever.compat import AirflowFailException
from airflow_provider_clever.exceptions import CleverError


@contextmanager
def failing_for_good() -> Iterator[None]:
    """Fail the task at once if a retry cannot help; leave every other error to Airflow's retries.

    :raises AirflowFailException: instead of a permanent :class:`~airflow_provider_clever.exceptions.CleverError`.
    """
    try:
        yield
    except CleverError as error:
        if error.permanent:
            raise AirflowFailException(str(error)) from error
        raise
