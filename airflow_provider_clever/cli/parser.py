"""Parses the command line. A verb is a module of this package, named in VERBS and in docs/reference/cli.md."""

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Final, Protocol

from airflow_provider_clever.cli import answer, doctor, forget, plan, report, status, table, verify
from airflow_provider_clever.cli.exit_codes import ExitCode


class Verb(Protocol):
    """What the module of a verb defines. It imports slow libraries only where it uses them."""

    @property
    def HELP(self) -> str:  # noqa: N802 - a module's constant
        """What the verb does, for ``--help``."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add what can follow the verb."""

    def run(self, options: Namespace) -> ExitCode:
        """Run the verb."""


VERBS: Final[Mapping[str, Verb]] = {
    "doctor": doctor,
    "plan": plan,
    "status": status,
    "answer": answer,
    "verify": verify,
    "table": table,
    "report": report,
    "forget": forget,
}
"""In the order in which ``--help`` lists them."""


def command_parser() -> ArgumentParser:
    """Make the parser of all verbs; the chosen one's ``run`` is in the option ``run``."""
    parser = ArgumentParser(
        prog="clever-attendance",
        description="What is due of a district, how districts stand, whether what landed is intact; and a sandbox.",
    )
    parser.add_argument("--version", action=_ShowVersions, nargs=0, help="show the versions that run here")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    # main() hands all that follows this verb to the sandbox itself.
    verbs.add_parser("sandbox", help="start a stand-in for Clever on this machine; options: sandbox --help")
    for name, verb in VERBS.items():
        own = verbs.add_parser(name, help=verb.HELP, description=verb.HELP)
        own.set_defaults(run=verb.run)
        verb.add_arguments(own)
    return parser


class _ShowVersions(Action):
    """Looks the versions up only when they are asked for."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from airflow_provider_clever.cli.versions import versions

        print(versions())
        parser.exit()
