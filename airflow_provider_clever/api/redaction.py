"""Keeps cursors, which decode to a student and a day (clever-api.md 3.1), out of the logs of the HTTP libraries."""

import logging
import re
from typing import Final

_CURSOR: Final = re.compile(r"((?:starting_after|ending_before)(?:=|%3[Dd]))[^&\s\"'<>)]*")
_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response", "asyncio")


def without_cursor(text: str) -> str:
    """Put ``[...]`` for each cursor in an address, or in a text that holds some."""
    return _CURSOR.sub(r"\1[...]", text)


class _CursorFilter(logging.Filter):
    """Rewrites a record that shows a cursor; every other one passes as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = without_cursor(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
            record.exc_info, record.exc_text = None, None
        return True


_FILTER: Final = _CursorFilter()


def keep_cursors_out_of_logs() -> None:
    """Rewrite, from now on, what the HTTP libraries log about addresses with a cursor, at whatever level."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
