"""How a command ends. docs/reference/cli.md documents each code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell gets."""

    OK = 0
    FOUND = 1
    """Something is wrong: a day is about to be lost, what landed is damaged, a check failed."""
    COULD_NOT = 2
    """The question could not be answered. Finding nothing to look at is no answer either."""
    PENDING = 3
    """Everything was forgotten that there was; it is final after one more run, once tasks of before have ended."""
    INTERRUPTED = 130
    """Ctrl+C, numbered as shells do."""
    CLOSED_PIPE = 141
    """The reader of the output has gone, as in ``| head``; numbered as shells do."""
