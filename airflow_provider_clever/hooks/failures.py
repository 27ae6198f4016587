"""What an error of ours means to Airflow, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_clever.compat import AirflowFailException
from airflow_provider_clever.exceptions import CleverError


@contextmanager
def failing_for_good() -> Iterator[None]:
    """Fail the task without another try when trying again cannot help; let every other error take its retries.

    :raises AirflowFailException: a permanent :class:`~airflow_provider_clever.exceptions.CleverError` came out.
    """
    try:
        yield
    except CleverError as error:
        if error.permanent:
            raise AirflowFailException(str(error)) from error
        raise
