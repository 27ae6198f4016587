"""A store's failures in the user's words."""

import errno

import pytest

from airflow_provider_clever.storage import errors as storage_errors


class NoCredentialsError(Exception):
    """As botocore calls it."""


class Http(Exception):  # noqa: N818 - a stand-in
    """As gcsfs and Azure number theirs."""

    def __init__(self, status: int) -> None:
        super().__init__("secret body")
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "permanent", "words"),
    [
        (OSError(errno.ENOSPC, "secret"), True, "no space left"),
        (OSError(errno.EDQUOT, "secret"), True, "no space left"),
        (PermissionError("secret"), True, "permission denied"),
        (OSError("Forbidden: secret"), True, "permission denied"),
        (Http(403), True, "permission denied"),
        (NoCredentialsError("secret"), True, "no usable credentials"),
        (FileNotFoundError("secret"), True, "no such bucket"),
        (NotADirectoryError("secret"), True, "something else stands at this path"),
        (OSError(errno.EBUSY, "secret"), False, "run again"),
        (TimeoutError("secret"), False, "run again"),
        (Http(503), False, "run again"),
    ],
)
def test_each_failure_says_what_to_do_and_quotes_nothing(error: Exception, permanent: bool, words: str) -> None:
    message = storage_errors.described("write", "lake/a", error)
    assert message.startswith("could not write lake/a (")
    assert words in message
    assert "secret" not in message
    assert storage_errors.is_permanent(error) is permanent
