"""Makes the result of a question: counts for the summary, the state of each school, and why the run is a failure."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_clever.attendance.absence import list_in_doubt
from airflow_provider_clever.exceptions import CleverDataError, CleverError, CleverWithheldError
from airflow_provider_clever.lake.answers import HOW_TO_ANSWER, Withheld, to_json
from airflow_provider_clever.lake.receipts import Receipt, SchoolState
from airflow_provider_clever.models import District
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.pull.results import PullResult, ScopeResult
from airflow_provider_clever.syncs import last_sync_text
from airflow_provider_clever.transfer.causes import counted_causes

log = logging.getLogger(__name__)

_NAMED_SCHOOLS: Final = 10
"""How many schools a message names; the summary has them all."""


@dataclass(slots=True)
class TransferResult:
    """The result of a question.

    :param summary: counts and names of schools, as plain JSON values; no student data.
    :param rows: the rows as Clever sent them, if they were not landed.
    :param problem: the error that makes the run a failure after everything that could land has landed; None: none.
    """

    summary: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    problem: CleverError | None = None


def summary_of(
    question: Question, before: District, result: PullResult, schools: Mapping[str, SchoolState]
) -> dict[str, Any]:
    """Make the part of a summary that any question has.

    :param before: the district before the first page was requested.
    :param schools: the state of each school or section.
    """
    newest = [scope.newest_date for scope in result.scopes.values() if scope.newest_date]
    return {
        "district_id": before.id,
        "date_range_start": question.first_day.isoformat(),
        "date_range_end": question.last_day.isoformat(),
        "received": result.received,
        "sync_before": last_sync_text(before),
        "newest_attendance_date": max(newest, default=None),
        "schools": len(schools),
        "schools_failed": _in_state(schools, "failed"),
        "schools_gone": _in_state(schools, "gone"),
        "schools_empty": _in_state(schools, "empty"),
        "schools_withheld": _in_state(schools, "withheld"),
        "schools_unsettled": _in_state(schools, "unsettled"),
        "unknown_values": dict(result.unknown_values),
        "surrogates_replaced": result.surrogates_replaced,
        "equal_keys": result.equal_keys,
    }


def changes_of(receipt: Receipt) -> dict[str, Any]:
    """Make the part of a summary that says what all tries of the run have changed, and the receipt's path."""
    return {
        "changed_days": [one.to_json() for one in receipt.changed_days],
        "changed_rows": sum(receipt.totals.get(name, 0) for name in ("added", "changed", "missing", "returned")),
        "receipt": receipt.path,
    }


def withheld_json(school_id: str, names: Mapping[str, str], withheld: Withheld) -> dict[str, Any]:
    """Describe what is withheld of a school, for a summary."""
    return {"school_id": school_id, "name": names.get(school_id, ""), "words": str(withheld), **to_json(withheld)}


def state_of(scope: ScopeResult, *, is_gone: bool = False) -> SchoolState:
    """Give the state of a school or section after its walks.

    :param is_gone: whether the district is known to share it no more. Default False.
    """
    if scope.errors:
        return "gone" if is_gone else "failed"
    return "landed" if scope.received else "empty"


def problem_of(
    result: PullResult,
    schools: Mapping[str, SchoolState],
    quarantined: int,
    withheld: Sequence[Mapping[str, Any]] = (),
    left_out: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
) -> CleverError | None:
    """What makes a run a failure: schools that failed, or nothing but schools that are gone; what was withheld; then,
    rows set aside.

    :param quarantined: how many rows were set aside for the first time.
    :param withheld: as the summary shows it.
    :param left_out: the schools that a list left out that cannot be trusted; None: the list can be, or there is none.
    :param names: of the schools, by id, as far as they are known. Default: none is.
    """
    bad = _in_state(schools, "failed")
    if schools and len(_in_state(schools, "gone")) == len(schools):
        bad = list(schools)
    errors = [error for scope_id in bad for error in result.scopes[scope_id].errors]
    if errors:
        # An error that another try may fix comes first, so that there is another try.
        first = min(errors, key=lambda error: error.permanent)
        if len(schools) == 1:
            return first
        causes = counted_causes((one, _named(one, names), str(result.scopes[one].errors[0])) for one in bad)
        return first.saying(f"{len(bad)} of {len(schools)} schools failed: {causes}.")
    if left_out is not None:
        return CleverWithheldError(list_in_doubt(left_out))
    doubted = [one for one in withheld if schools[one["school_id"]] == "withheld"]
    for one in withheld:
        log.warning("%s: nothing was marked, and these days are due again", _shown(one))
    if doubted:
        return CleverWithheldError(
            f"{len(doubted)} schools are withheld: {'; '.join(map(_shown, doubted[:_NAMED_SCHOOLS]))}"
            f"{'; and more' if len(doubted) > _NAMED_SCHOOLS else ''}. The rows stand as they were, nothing was "
            f"marked, and these days are due again. {HOW_TO_ANSWER}"
        )
    if quarantined:
        return CleverDataError(
            f"{quarantined} rows were set aside because they cannot land; all others have landed. Look at them in the "
            "quarantine folder of the district; the same rows are reported this once only. To go on without failing, "
            "set fail_on_quarantine=False."
        )
    return None


def _shown(withheld: Mapping[str, Any]) -> str:
    school = f"{withheld['name']} ({withheld['school_id']})" if withheld["name"] else withheld["school_id"]
    reason = f" ({withheld['reason']})" if withheld["reason"] else ""
    return f"{school}: {withheld['words']}{reason}"


def _named(school_id: str, names: Mapping[str, str] | None) -> str:
    return f"{name} ({school_id})" if (name := (names or {}).get(school_id)) else school_id


def _in_state(schools: Mapping[str, SchoolState], state: SchoolState) -> list[str]:
    return [school_id for school_id, found in schools.items() if found == state]
