"""``clever-attendance``: runs a command; it ends with a documented exit code, never with a traceback."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.parser import command_parser
from airflow_provider_clever.cli.sandbox import become_the_sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and give its exit code.

    :param arguments: what was typed after the program's name. Default: this process' own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with suppress(AttributeError):  # there may be no output, or a test's
        # The answer must not fail because the locale lacks a character of a school's name.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # suppressed above
    try:
        if given[:1] == ["sandbox"]:
            become_the_sandbox(given[1:])
        options = command_parser().parse_args(given)
        code: int = options.run(options)
        if sys.stdout:
            sys.stdout.flush()
    except SystemExit:  # argparse's; perhaps nobody reads its help any more
        _write_no_more()
        raise
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _write_no_more()
        return ExitCode.CLOSED_PIPE
    except Exception as error:  # noqa: BLE001 - a message helps the user; a traceback does not
        from airflow_provider_clever.cli.errors import complain, in_words

        _write_no_more()
        complain(in_words(error))
        return ExitCode.COULD_NOT
    return code


def _write_no_more() -> None:
    """Drop unwritten output: the interpreter would write it again as it exits, and fail with a message of its own."""
    with suppress(OSError, ValueError, AttributeError):  # a test's output has no file number
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
