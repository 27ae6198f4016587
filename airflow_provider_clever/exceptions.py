"""What can go wrong, sorted by what the caller should do about it.

No message holds a token, a cursor, a student id or a row: they end up in task logs.
"""

from copy import copy
from typing import Self


class CleverError(Exception):
    """Anything that this provider reports on purpose. Catch this one to catch them all."""

    permanent: bool = False
    """True if the same call cannot succeed later without a person changing something first."""

    _text: str | None = None

    def saying(self, text: str) -> Self:
        """Give the same error with another text, such as one that counts the schools that it befell."""
        twin = copy(self)
        twin._text = text
        return twin

    def __str__(self) -> str:
        return super().__str__() if self._text is None else self._text


class CleverSettingsError(CleverError):
    """Fix the connection or the arguments; nothing was asked of Clever."""

    permanent = True


class CleverTransportError(CleverError):
    """Try again later: no complete answer arrived (refused, reset, timed out, cut short).

    :param message: what happened, and the next step.
    :param needs_person: True if it lies in how this machine reaches Clever (certificates, proxy), so that a person has
        to fix something. Default False.
    :param is_late: True if a connection was there, and the answer took too long or broke off. Default False.
    """

    def __init__(self, message: str, *, needs_person: bool = False, is_late: bool = False) -> None:
        super().__init__(message)
        self.needs_person = needs_person
        self.is_late = is_late


class CleverHTTPError(CleverError):
    """Clever answered with an error status.

    :param status: the HTTP status.
    :param path: the path that was asked for, without its query.
    :param message: what the answer said, if it is a known phrase, or the status' own words; then the next step.
    :param attempts: how often the request was sent. Default 1.
    :param is_confirmed: False if the answer was seen once only, or is not in the form of Clever's errors: then it is
        never permanent. Default True.
    """

    def __init__(self, status: int, path: str, message: str, attempts: int = 1, *, is_confirmed: bool = True) -> None:
        times = "once" if attempts == 1 else f"{attempts} times"
        super().__init__(f"Clever answered {status} for {path} (asked {times}): {message}")
        self.status = status
        self.path = path
        self.message = message
        self.attempts = attempts
        self.permanent = type(self).permanent and is_confirmed

    def __reduce__(self) -> tuple[type["CleverHTTPError"], tuple[int, str, str, int], dict[str, object]]:
        return type(self), (self.status, self.path, self.message, self.attempts), self.__dict__


class CleverAuthError(CleverHTTPError):
    """Fix the credentials, or ask the district: Clever refuses this token (401 or 403). Permanent once confirmed."""

    permanent = True


class CleverRequestError(CleverHTTPError):
    """Fix the arguments: Clever refuses the question itself (400, 405, 413, 501). Permanent once confirmed."""

    permanent = True


class CleverNotFoundError(CleverHTTPError):
    """The object is unknown, deleted, or not shared with this app (404). Permanent once confirmed."""

    permanent = True


class CleverRateLimitError(CleverHTTPError):
    """Try again later: the token's budget stayed spent for longer than we wait (429)."""


class CleverProtocolError(CleverError):
    """Run again, and report it if it stays: Clever's answer breaks its own contract, so nothing of it is used."""


class CleverDataError(CleverError):
    """Look at the quarantined rows: Clever sent rows that cannot land. The good ones have landed."""

    permanent = True


class CleverRejectedRowsError(CleverDataError):
    """Look at the quarantined rows, and tell the district: most of a school's rows cannot land. The good ones have."""


class CleverWithheldError(CleverError):
    """Look, and answer: rows that had landed did not come back. They stand as they were, and their days are due again.

    Trying again may help, because what was withheld in passing comes with the next try.
    """


class CleverLandingError(CleverError):
    """Fix the destination (path, rights, space), then run again: what had landed before is intact."""


class CleverPartitionError(CleverLandingError):
    """Restore this one partition, or upgrade: it cannot be read, so nothing was written to it. All others landed."""

    permanent = True


class CleverStoppedError(CleverError):
    """Nothing to fix: the task was told to stop half-way. What had landed is intact; the next try goes on."""


class CleverAlertError(CleverError):
    """Correct the notifier or its connection: people could not be told of a district. It is tried again."""
