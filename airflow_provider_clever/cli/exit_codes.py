"""The exit codes of commands. docs/reference/cli.md documents each."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of a command."""

    OK = 0
    FOUND = 1
    """Something is wrong: a day is about to be lost, what landed is damaged, a check failed."""
    COULD_NOT = 2
    """The question could not be answered, for example because nothing has landed."""
    PENDING = 3
    """Everything was forgotten; one more run makes that final, once tasks that were running have ended."""
    INTERRUPTED = 130
    """Ctrl+C, numbered as shells do."""
    CLOSED_PIPE = 141
    """The reader of the output has gone, as in ``| head``; numbered as shells do."""
