"""Judges the facts that ``doctor`` gathers, and names the next step. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_clever.ledger.reporting import DistrictReport
    from airflow_provider_clever.models import District
    from airflow_provider_clever.settings import CleverSettings

_NAMED_DISTRICTS: Final = 5
_PLANNED_TASKS: Final = 1000
"""The most pulls that one plan asks for (ledger/planner.py)."""
_PARALLEL_PULLS: Final = 2
"""The pulls of one run that ``attendance_dags`` lets run at once."""
_TOKEN_SECONDS: Final = 600
"""Airflow's own default; how short ones fail tasks: https://github.com/apache/airflow/issues/53713."""


class State(StrEnum):
    """The result of a check, the worst last."""

    NOT_CHECKED = "not checked"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Verdict(NamedTuple):
    """What a check found.

    :param state: how it ended.
    :param text: what was found, and the next step if there is one. It contains no secret and nothing about a student.
    """

    state: State
    text: str


class Finding(NamedTuple):
    """A verdict, with the name of its check."""

    check: str
    state: State
    text: str


def has_failed(findings: Iterable[Finding]) -> bool:
    """Tell whether any check failed."""
    return any(finding.state is State.FAILED for finding in findings)


def of_what_needs(check: str) -> Verdict:
    """Give the verdict on a check that was not made, because one that it needs failed or was not made."""
    return Verdict(State.NOT_CHECKED, f"It needs the check {check}.")


def of_silence(seconds: float) -> Verdict:
    """Give the verdict on a check that did not end in time."""
    return Verdict(
        State.FAILED, f"No answer within {seconds:g} seconds. Look at the network between this machine and the other."
    )


def of_connection(conn_id: str, settings: "CleverSettings") -> Verdict:
    """Judge a connection whose fields are in order: where it leads, and as whom."""
    who = "client id and secret" if settings.client_id else "one district's token"
    whose = f"district {settings.district_id}" if settings.district_id else "no district named"
    return Verdict(State.OK, f"{conn_id}: {settings.api_base}, {who}, {whose}.")


def of_token(settings: "CleverSettings", district_ids: Sequence[str]) -> Verdict:
    """Judge the credentials by the districts that they give access to."""
    if settings.token:
        return Verdict(State.OK, f"The token is that of district {district_ids[0]}.")
    count = len(district_ids)
    if not count:
        return Verdict(
            State.FAILED,
            "Client id and secret work, but no district is connected. Ask the district to authorise the app in "
            "Clever's dashboard.",
        )
    return Verdict(State.OK, f"Client id and secret work. Districts connected: {count}.")


def of_district(district: "District", *, shares_schools: bool) -> Verdict:
    """Judge a district by whether it shares schools."""
    from airflow_provider_clever.api.connection_check import in_words

    if not shares_schools:
        return Verdict(State.WARNING, in_words(district, shares_schools=False))
    return Verdict(State.OK, f"{district.name or 'District'} ({district.id}) shares schools with this app.")


def of_attendance(district: "District") -> Verdict:
    """Judge whether pulls will find rows, once Clever has answered for one school."""
    from airflow_provider_clever.api.connection_check import in_words

    has_synced = district.last_attendance_sync is not None
    return Verdict(State.OK if has_synced else State.WARNING, in_words(district, shares_schools=True))


def of_absent_folder(path: str) -> Verdict:
    """Give the verdict on a local destination that does not exist."""
    return Verdict(
        State.FAILED,
        f"There is no folder {path} on this machine. Correct the destination; if it is to be new, make that folder.",
    )


def of_coverage(reports: Mapping[str, "DistrictReport | None"], destination: str) -> Verdict:
    """Judge the districts at a destination; the worst one decides.

    :param reports: by district; None: no pull has left a receipt there.
    :param destination: as it was typed.
    """
    if not reports:
        return Verdict(State.WARNING, f"{_NOTHING[:1].upper()}{_NOTHING[1:]}.")
    verdicts = [(district_id, _of_report(report)) for district_id, report in sorted(reports.items())]
    order = list(State)
    verdicts.sort(key=lambda one: -order.index(one[1].state))  # stable: districts of one state stay in order
    more = len(verdicts) - _NAMED_DISTRICTS
    words = [f"{district_id}: {verdict.text}" for district_id, verdict in verdicts[:_NAMED_DISTRICTS]]
    words += [f"and {more} more districts"] if more > 0 else []
    worst = verdicts[0][1].state
    step = "" if worst is State.OK else f" Details: clever-attendance status {destination}"
    return Verdict(worst, f"{'; '.join(words)}.{step}")


_NOTHING: Final = (
    "no pull has left a receipt here. If one should have, check the destination's spelling; else trigger the "
    "district's DAG"
)


def _of_report(report: "DistrictReport | None") -> Verdict:
    if report is None:
        return Verdict(State.WARNING, _NOTHING)
    if report.about_to_be_lost:
        return Verdict(
            State.FAILED,
            f"{len(report.about_to_be_lost)} of {report.schools} schools have days that were never covered and that "
            "Clever forgets within 14 days; trigger the district's DAG now",
        )
    troubles = {
        f"days of schools without coverage, which the next run pulls: {report.gaps:,}": report.gaps,
        f"schools whose last pull failed: {len(report.failing)}": report.failing,
        f"withheld schools, which wait for clever-attendance answer: {len(report.withheld)}": report.withheld,
        f"rows in quarantine: {report.quarantined:,}": report.quarantined,
    }
    found = [words for words, is_there in troubles.items() if is_there]
    if found:
        return Verdict(State.WARNING, ", ".join(found))
    return Verdict(State.OK, f"{report.schools} schools without a gap, newest day {report.newest_day or 'none'}")


# --- Airflow ----------------------------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """An Airflow setting that can get in the way of pulls.

    :param section: of Airflow's configuration.
    :param key: its name there.
    :param meaning: what a harmless value means.
    :param is_harmful: decides from the value, as text, whether it gets in the way of pulls. Default: no value does.
    :param harm: what happens then, and the next step.
    """

    section: str
    key: str
    meaning: str
    is_harmful: Callable[[str], bool] = lambda _: False
    harm: str = ""

    def __str__(self) -> str:
        return f"[{self.section}] {self.key}"


def _below(least: int) -> Callable[[str], bool]:
    def is_below(text: str) -> bool:
        try:
            return 0 < int(text) < least  # 0 means no limit
        except ValueError:  # Airflow itself refuses it
            return False

    return is_below


SETTINGS: Final = (
    Setting(
        "core",
        "max_map_length",
        "every plan fits",
        _below(_PLANNED_TASKS),
        f"a large first run is up to {_PLANNED_TASKS:,} pulls, and fewer and larger ones here. Set that or more",
    ),
    Setting(
        "core",
        "parallelism",
        "tasks at once, of all DAGs of a scheduler",
        _below(_PARALLEL_PULLS),
        "all tasks of all districts run one after another. Raise it",
    ),
    Setting(
        "core",
        "max_active_tasks_per_dag",
        "tasks at once of one DAG",
        _below(_PARALLEL_PULLS),
        "a district's pulls run one after another. Raise it",
    ),
    Setting(
        "core",
        "default_timezone",
        "the zone of DAGs that name none; attendance_dags gives each district its own",
        lambda text: text.strip().lower() == "system",
        "each machine has its own, and a DAG without a zone takes its days from it. Name a zone, such as utc",
    ),
    Setting(
        "core",
        "test_connection",
        "whether connections have a Test button; this command says the same without it",
    ),
    Setting(
        "execution_api",
        "jwt_expiration_time",
        "seconds for which a task's own token is valid; a running task renews it",
        _below(_TOKEN_SECONDS),
        "some Airflows refuse a task that has waited for so many seconds in a queue. Set 600 or more",
    ),
)
"""In the order in which they are shown."""


def of_setting(setting: Setting, text: str | None) -> Verdict:
    """Judge the value of a setting.

    :param text: its value; None: this Airflow does not have it.
    """
    if text is None:
        return Verdict(State.NOT_CHECKED, "This Airflow has no such setting.")
    if setting.is_harmful(text):
        return Verdict(State.WARNING, f"{text}: {setting.harm}.")
    return Verdict(State.OK, f"{text}: {setting.meaning}.")


def of_triggerer(health: object) -> Verdict:
    """Judge whether a triggerer is running.

    :param health: what Airflow's API says about it at ``/api/v2/monitor/health``.
    """
    facts = health if isinstance(health, dict) else {}
    if facts.get("status") == "healthy":
        return Verdict(State.OK, "A triggerer runs.")
    seen = facts.get("latest_triggerer_heartbeat")
    last = f"None runs; the last one was seen at {str(seen)[:19]}" if seen else "None has ever run"
    return Verdict(
        State.WARNING,
        f"{last}. Deferred waits for a sync, wait_for_sync and asset watchers need one: airflow triggerer",
    )
