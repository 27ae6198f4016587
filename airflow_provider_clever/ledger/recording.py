"""Ends a run: adds its pulls' receipts to coverage, and judges the run by them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from airflow_provider_clever.attendance.absence import list_in_doubt
from airflow_provider_clever.dates import zone_name
from airflow_provider_clever.lake.forgotten import refuse_forgotten
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import Listing, read_coverage, receipts_at, record_coverage
from airflow_provider_clever.ledger.reporting import (
    DistrictReport,
    PlannedPull,
    SchoolDays,
    district_report,
    news_of_withheld,
    not_pulled,
    problems,
)
from airflow_provider_clever.ledger.status_file import DistrictStatus, write_status
from airflow_provider_clever.ledger.surveying import schools_left_out
from airflow_provider_clever.ledger.watermark import CorrectionRules
from airflow_provider_clever.storage.objects import Objects


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The outcome of a run.

    :param report: the state of the district after it.
    :param unpulled: what was planned and was not pulled.
    :param problems: what makes the run a failure, each with the next step.
    :param coverage: which days are covered after it.
    :param receipts: the receipts of its pulls.
    """

    report: DistrictReport
    unpulled: tuple[SchoolDays, ...]
    problems: list[str]
    coverage: Coverage
    receipts: tuple[Receipt, ...]


def record_run(
    objects: Objects,
    district_id: str,
    *,
    today: date,
    zone: tzinfo,
    rules: CorrectionRules,
    schools: Mapping[str, str] | None,
    planned: Sequence[PlannedPull],
    receipts: Iterable[str],
    is_whole: bool,
    left_out: Sequence[str] | None = None,
) -> RecordedRun:
    """Record what a run has covered, and judge the run by its own receipts.

    :param objects: the destination.
    :param today: the date in the district.
    :param zone: the district's zone.
    :param rules: how long a day may still change.
    :param schools: the names of the schools that the district lists now, by id; None: Clever did not answer.
    :param planned: what the run was to pull.
    :param receipts: the paths of its pulls' receipts, relative to the destination.
    :param is_whole: whether the run was to pull everything that is due.
    :param left_out: the schools that the plan's own list left out so that it could not be trusted. Default: it could.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    refuse_forgotten(objects, district_id)
    paths = list(receipts)
    now_left_out = None
    if schools is not None:
        now_left_out = schools_left_out(objects, read_coverage(objects, district_id).coverage, schools)
    listing = Listing(
        today=today, timezone=zone_name(zone), schools=schools, is_doubted=now_left_out is not None, rules=rules
    )
    file = record_coverage(objects, district_id, listing, receipts=paths)
    left = receipts_at(objects, district_id, paths)
    report = district_report(file, today)
    write_status(objects, DistrictStatus.of(report, as_of=today.isoformat(), timezone=file.coverage.timezone))
    unpulled = not_pulled(file.coverage, planned, left, today=today)
    found = problems(unpulled, report, is_whole=is_whole, withheld=news_of_withheld(left))
    doubted = now_left_out if now_left_out is not None else left_out
    if doubted is not None:
        found.append(list_in_doubt(doubted).rstrip("."))
    return RecordedRun(report, unpulled, found, file.coverage, tuple(left))
