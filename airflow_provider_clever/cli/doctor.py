"""``clever-attendance doctor``: checks everything that a pull depends on, and names the next step."""

import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_clever.cli import arguments, diagnosis
from airflow_provider_clever.cli.diagnosis import Finding, Setting, State, Verdict
from airflow_provider_clever.cli.exit_codes import ExitCode
from airflow_provider_clever.cli.json_answer import print_json

if TYPE_CHECKING:
    from airflow_provider_clever.api.client import CleverClient
    from airflow_provider_clever.models import District
    from airflow_provider_clever.storage.objects import Objects

HELP: Final = "check connection, destination and Airflow, and say what to do; exit code 1: a check failed"

_HEALTH_SECONDS: Final = 5.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add what can follow the verb."""
    arguments.add_destination(parser, is_required=False)
    arguments.add_connection(parser)
    arguments.add_district(parser, "which district (default: the connection's)")
    parser.add_argument("--single-writer", action="store_true", help="as in the DAG: no other task writes there")
    arguments.add_json(parser)


def run(options: Namespace) -> ExitCode:
    """Make all checks, and show each finding as soon as it is known."""
    findings = []
    for finding in examine(Examination(options), CHECKS):
        findings.append(finding)
        if not options.json:
            from airflow_provider_clever.cli.terminal import show_check

            show_check(finding)
    failed = diagnosis.has_failed(findings)
    if options.json:
        print_json({"ok": not failed, "checks": [finding._asdict() for finding in findings]})
    return ExitCode.FOUND if failed else ExitCode.OK


@dataclass(slots=True)
class Examination:
    """What the user asked for, and what earlier checks found that later ones need."""

    options: Namespace
    client: "CleverClient" = field(init=False)
    objects: "Objects" = field(init=False)
    district_id: str | None = None
    connected: int = 0
    district: "District | None" = None
    school_id: str | None = None


class Check(NamedTuple):
    """One check.

    :param name: as it is shown.
    :param make: makes it. If it raises an error, the check has failed, and the error's text says why.
    :param needs: the checks without which it cannot be made.
    :param seconds: how long it may take; where nothing answers, the libraries of stores wait for minutes. Default 60.
    """

    name: str
    make: Callable[[Examination], Verdict]
    needs: tuple[str, ...] = ()
    seconds: float = 60.0


def examine(examination: Examination, checks: Iterable[Check]) -> Iterator[Finding]:
    """Make checks one after another; a check that needs a failed one is not made."""
    states: dict[str, State] = {}
    for check in checks:
        blocked = [name for name in check.needs if states[name] in (State.FAILED, State.NOT_CHECKED)]
        verdict = diagnosis.of_what_needs(blocked[0]) if blocked else _made(check, examination)
        states[check.name] = verdict.state
        yield Finding(check.name, *verdict)


def _made(check: Check, examination: Examination) -> Verdict:
    """Make a check in a thread of its own: a library that hangs cannot be stopped, only abandoned."""
    from airflow_provider_clever.cli.errors import in_words

    ended: list[Verdict] = []

    def make() -> None:
        try:
            ended.append(check.make(examination))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what the check has found
            ended.append(Verdict(State.FAILED, in_words(error)))

    output = sys.stdout
    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(check.seconds)
    sys.stdout = output  # an abandoned check may have redirected it
    return ended[0] if ended else diagnosis.of_silence(check.seconds)


# --- Clever -----------------------------------------------------------------------------------------------------------


def _versions(_: Examination) -> Verdict:
    from airflow_provider_clever.cli.versions import versions

    return Verdict(State.OK, f"{versions()}.")


def _connection(examination: Examination) -> Verdict:
    from airflow_provider_clever.api.connection_check import brisk_client
    from airflow_provider_clever.cli.connections import settings_of

    options = examination.options
    settings = settings_of(options.conn_id, options.district)
    examination.client, examination.district_id = brisk_client(settings), settings.district_id
    return diagnosis.of_connection(options.conn_id, settings)


def _token(examination: Examination) -> Verdict:
    district_ids = examination.client.district_ids()
    examination.connected = len(district_ids)
    return diagnosis.of_token(examination.client.settings, district_ids)


def _district(examination: Examination) -> Verdict:
    from airflow_provider_clever.api.connection_check import first_school_id, name_a_district

    if examination.district_id is None and examination.connected > 1:
        return Verdict(State.WARNING, name_a_district(examination.connected))
    examination.district = district = examination.client.get_district()
    examination.district_id, examination.school_id = district.id, first_school_id(examination.client)
    return diagnosis.of_district(district, shares_schools=examination.school_id is not None)


def _attendance(examination: Examination) -> Verdict:
    from airflow_provider_clever.api.connection_check import ask_for_a_row

    if examination.district is None or examination.school_id is None:
        return Verdict(State.NOT_CHECKED, "There is no school to ask for.")
    ask_for_a_row(examination.client, examination.district, examination.school_id)
    return diagnosis.of_attendance(examination.district)


# --- the destination --------------------------------------------------------------------------------------------------


def _destination(examination: Examination) -> Verdict:
    from airflow_provider_clever.cli.destinations import opened

    options = examination.options
    if options.destination is None:
        return Verdict(State.NOT_CHECKED, "None was named: clever-attendance doctor DESTINATION looks at it too.")
    url, examination.objects = opened(options.destination, single_writer=options.single_writer)
    if url.scheme == "file" and not Path(url.root).is_dir():  # landing would make it, wherever that is
        return diagnosis.of_absent_folder(url.root)
    examination.objects.names("")
    return Verdict(State.OK, f"{url} can be read.")


def _landing(examination: Examination) -> Verdict:
    from airflow_provider_clever.lake.forgotten import key_of, read_forgotten
    from airflow_provider_clever.lake.formats import require_libraries
    from airflow_provider_clever.lake.preflight import check, format_at

    require_libraries()
    if examination.district_id is None:
        return Verdict(State.WARNING, "Writing was not tried, for that takes a district. Name one with --district.")
    file_format = format_at(examination.objects, examination.district_id) or "parquet"
    forgotten = read_forgotten(examination.objects, examination.district_id)
    forgotten.refuse_tombstone()
    client = getattr(examination, "client", None)
    forgotten.denied(key_of(client and client.settings.forget_secret, examination.district_id))
    check(examination.objects, examination.district_id, file_format, forgets=bool(forgotten.requests))
    return Verdict(State.OK, f"District {examination.district_id} can land here, as {file_format}.")


def _coverage(examination: Examination) -> Verdict:
    from airflow_provider_clever.cli.status import report_of
    from airflow_provider_clever.lake.forgotten import read_forgotten, refuse_forgotten
    from airflow_provider_clever.lake.verify import districts_at

    objects, asked = examination.objects, examination.district_id
    if asked:
        refuse_forgotten(objects, asked)
    found = [asked] if asked else [id_ for id_ in districts_at(objects) if not read_forgotten(objects, id_).tombstone]
    reports = {district_id: report_of(objects, district_id) for district_id in found}
    return diagnosis.of_coverage(reports, examination.options.destination)


# --- Airflow ----------------------------------------------------------------------------------------------------------


def _airflow(_: Examination) -> Verdict:
    from airflow_provider_clever.cli.connections import airflow_on_stderr

    with airflow_on_stderr():
        from airflow_provider_clever import compat  # noqa: F401 - only whether it can be imported
    return Verdict(State.OK, "Its settings, below, are those of this machine; others may have their own.")


def _setting(setting: Setting, _: Examination) -> Verdict:
    from airflow_provider_clever.compat import conf

    return diagnosis.of_setting(setting, conf.get(setting.section, setting.key, fallback=None))


def _triggerer(_: Examination) -> Verdict:
    import requests

    from airflow_provider_clever.compat import conf

    # Workers may know the API only by the address at which tasks report.
    execution = conf.get("core", "execution_api_server_url", fallback=None) or ""
    base = conf.get("api", "base_url", fallback=None) or execution.rstrip("/").removesuffix("/execution")
    if not base:
        return Verdict(State.NOT_CHECKED, "[api] base_url does not say where Airflow's API is, which would know.")
    try:
        answer = requests.get(f"{base.rstrip('/')}/api/v2/monitor/health", timeout=_HEALTH_SECONDS)
        answer.raise_for_status()
        health = answer.json()
    except (requests.RequestException, ValueError):
        health = None
    if not isinstance(health, dict) or "triggerer" not in health:
        return Verdict(State.NOT_CHECKED, "No Airflow API that knows answers at [api] base_url.")
    return diagnosis.of_triggerer(health["triggerer"])


CHECKS: Final = (
    Check("versions", _versions),
    Check("connection", _connection),
    Check("token", _token, needs=("connection",)),
    Check("district", _district, needs=("token",)),
    Check("attendance", _attendance, needs=("district",)),
    Check("destination", _destination),
    Check("landing", _landing, needs=("destination",)),
    Check("coverage", _coverage, needs=("destination",)),
    Check("airflow", _airflow),
    *(Check(str(setting), partial(_setting, setting), needs=("airflow",)) for setting in diagnosis.SETTINGS),
    Check("triggerer", _triggerer, needs=("airflow",)),
)
"""In the order in which they are made and shown. docs/reference/cli.md lists them."""
