"""Keeps cursors out of the HTTP libraries' logs: a cursor decodes to a student and a day (clever-api.md 3.1)."""

import logging
import re
from typing import Final

_CURSOR: Final = re.compile(r"((?:starting_after|ending_before)(?:=|%3[Dd]))[^&\s\"'<>)]*")
_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response", "asyncio")


def without_cursor(text: str) -> str:
    """Replace each cursor in a text by ``[...]``."""
    return _CURSOR.sub(r"\1[...]", text)


class _CursorFilter(logging.Filter):
    """Redacts log records that show a cursor, and leaves all others alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = without_cursor(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
            record.exc_info, record.exc_text = None, None
        return True


_FILTER: Final = _CursorFilter()


def keep_cursors_out_of_logs() -> None:
    """Redact, from now on, every cursor that the HTTP libraries log, at any level."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
