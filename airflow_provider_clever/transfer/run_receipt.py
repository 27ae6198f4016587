"""Makes the receipt of a run: what it asked, covered and changed."""

import platform
from collections.abc import Collection, Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from airflow_provider_clever.dates import date_ranges, subtracted
from airflow_provider_clever.lake.answers import Withheld
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import school_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt, SchoolState
from airflow_provider_clever.lake.store import PartitionOutcome
from airflow_provider_clever.pull.chains import Scope
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.pull.results import PullResult, ScopeResult

_NAMED: Final = ("airflow-provider-clever", "pyarrow")


def run_receipt(
    question: Question,
    idempotency_key: IdempotencyKey,
    *,
    syncs: tuple[str | None, str | None],
    file_format: str,
    finished_at: str,
    schools: dict[str, SchoolReceipt],
    summary: Mapping[str, Any],
    has_changes: bool,
    try_number: int,
    changed: Collection[tuple[str, str]],
) -> Receipt:
    """Make the receipt of one try.

    :param syncs: the district's last sync before the first page and after the last one.
    :param summary: of the run; its figures are the receipt's totals.
    :param has_changes: whether a correction feed was written.
    :param try_number: which try it was, from 1.
    :param changed: schools and days that another writer changed meanwhile.
    """
    sync_before, sync_after = syncs
    return Receipt(
        district_id=summary["district_id"],
        idempotency_key=idempotency_key,
        asked=Asked(
            date_range_start=question.first_day.isoformat(),
            date_range_end=question.last_day.isoformat(),
            school_ids=question.school_ids,
            section_ids=question.section_ids,
            whole=question.scope is Scope.SCHOOL,
        ),
        file_format=file_format,
        finished_at=finished_at,
        sync_before=sync_before,
        sync_after=sync_after,
        settled=sync_before == sync_after,
        schools=schools,
        changes=() if has_changes else None,
        totals={name: value for name, value in summary.items() if isinstance(value, int | float)},
        versions=_versions(),
        try_number=try_number,
        changed_days=date_ranges(date.fromisoformat(day) for _, day in changed),
    )


def school_receipts(
    question: Question,
    outcomes: dict[str, list[PartitionOutcome]],
    result: PullResult,
    states: Mapping[str, SchoolState],
    names: Mapping[str, str],
    withheld: Mapping[str, Withheld],
) -> dict[str, SchoolReceipt]:
    """Make the receipt's entry of each school.

    :param outcomes: of the partitions of each school, in order. It is emptied: a long pull has thousands.
    :param states: of each school; of each section, if the question is about sections.
    """
    made = {}
    for school_id in sorted({*outcomes, *(states if question.scope is Scope.SCHOOL else ())}):
        scope = result.scopes.get(school_id, ScopeResult(school_id))
        made[school_id] = school_receipt(
            outcomes.pop(school_id, ()),
            state=states.get(school_id, "landed"),
            name=names.get(school_id, ""),
            covered=subtracted(scope.covered, date_ranges(map(date.fromisoformat, scope.not_landed))),
            error=str(scope.errors[0]) if scope.errors else None,
            withheld=withheld.get(school_id),
        )
    return made


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
