"""What was told lies at the destination: two at once, damage, other versions, notifiers that come later."""

import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_clever.alerts.alerts_file import alerts_path, read_sent_alerts
from airflow_provider_clever.alerts.decision import Cause
from airflow_provider_clever.alerts.sending import AlertInput, claim_messages, note_sent
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.dates import ONE_DAY, DateRange
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.quarantine import quarantine
from airflow_provider_clever.lake.receipts import Asked, Receipt
from airflow_provider_clever.ledger.coverage import Coverage, SchoolCoverage
from airflow_provider_clever.ledger.day_covers import Cover, DayCovers
from airflow_provider_clever.ledger.receipt_facts import WithheldDays
from airflow_provider_clever.storage.objects import Objects

DISTRICT = "65e000000000000000000001"
NOW = datetime(2026, 3, 12, 10, tzinfo=UTC)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return layout.objects_at(LocalFileSystem(), str(tmp_path))


def district(*withheld: str, now: datetime = NOW) -> AlertInput:
    days = (DateRange(now.date() - timedelta(days=3), now.date() - timedelta(days=2)),)
    pull = Cover(is_settled=True, pulled_at="2026-03-10T03:00:00.000000Z", sync="2026-03-09T22:00:00.000000Z")
    proven = DayCovers().covered(DateRange(date(2025, 8, 1), days[0].first - ONE_DAY), pull)
    schools = {
        name: SchoolCoverage(
            proven=proven, withheld=WithheldDays("2026-03-11T00:00:00.000000Z", 5, 9, "2026-03-11", days)
        )
        for name in withheld
    }
    return AlertInput(coverage=Coverage(DISTRICT, schools=schools), now=now, zone=UTC, receipts=())


def tell(
    objects: Objects, one: AlertInput, *notifiers: str, by: str = "run", was_sent: bool = True
) -> dict[str, list[Cause]]:
    due = claim_messages(objects, one, notifiers, by=by)
    sent = {(name, each.cause): was_sent for name, messages in due.by_notifier.items() for each in messages}
    note_sent(objects, DISTRICT, due, sent, by=by)
    return {name: [each.cause for each in messages] for name, messages in due.by_notifier.items()}


def test_of_eight_runs_at_once_one_sends_a_message(objects: Objects) -> None:
    together, counts = threading.Barrier(8), []

    def run(number: int) -> None:
        together.wait(60)
        due = claim_messages(objects, district("elm"), ["mail"], by=f"run {number}")
        counts.append(len(due.by_notifier["mail"]))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(counts) == [0] * 7 + [1]


def test_each_notifier_is_told_for_itself_and_one_that_comes_later_of_what_stands_then(objects: Objects) -> None:
    assert tell(objects, district("elm"), "mail") == {"mail": [Cause.WITHHELD]}
    assert tell(objects, district("elm"), "mail", "slack") == {"mail": [], "slack": [Cause.WITHHELD]}
    assert tell(objects, district("elm", "oak"), "mail", "slack", was_sent=False)["mail"] == [Cause.WITHHELD]
    assert tell(objects, district("elm", "oak"), "mail", "slack")["slack"] == [Cause.WITHHELD]
    assert tell(objects, district("elm", "oak"), "mail", "slack") == {"mail": [], "slack": []}
    assert tell(objects, district(), "slack") == {"slack": [Cause.WITHHELD]}
    assert {*read_sent_alerts(objects, DISTRICT).notifiers} == {"mail"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema_version": 1, "district_id": "another"}', b"null"])
def test_a_damaged_file_tells_what_stands_once_more_and_is_written_again(objects: Objects, data: bytes) -> None:
    tell(objects, district("elm"), "mail")
    objects.update(alerts_path(DISTRICT), lambda _: data)
    assert tell(objects, district("elm"), "mail") == {"mail": [Cause.WITHHELD]}
    assert tell(objects, district("elm"), "mail") == {"mail": []}


def test_a_file_of_a_newer_version_is_left_alone(objects: Objects) -> None:
    newer = json.dumps({"schema_version": 99}).encode()
    objects.update(alerts_path(DISTRICT), lambda _: newer)
    with pytest.raises(CleverLandingError, match="Upgrade this one"):
        tell(objects, district("elm"), "mail")
    found = objects.read(alerts_path(DISTRICT))
    assert found
    assert bytes(found[0]) == newer


def test_a_quiet_night_writes_nothing(objects: Objects) -> None:
    tell(objects, district("elm"), "mail")
    before = objects.read(alerts_path(DISTRICT))
    tell(objects, district("elm", now=NOW + timedelta(days=1)), "mail", by="the next run")
    assert objects.read(alerts_path(DISTRICT)) == before


def recorded(*, quarantined: int) -> Receipt:
    """What a run that has just ended left."""
    return Receipt(
        district_id=DISTRICT,
        idempotency_key=IdempotencyKey.of("a run", month="2026-03"),
        asked=Asked(date_range_start="2026-03-09", date_range_end="2026-03-11"),
        file_format="parquet",
        finished_at="2026-03-12T04:00:00.000000Z",
        sync_before=None,
        sync_after=None,
        settled=True,
        schools={},
        totals={"quarantined": quarantined},
    )


def test_rows_in_quarantine_are_told_of_when_more_came_and_not_while_they_stay(objects: Objects) -> None:
    def set_aside(day: str, *rows: str) -> None:
        found = [RejectedRow("no student_id", 1, number, row) for number, row in enumerate(rows, 1)]
        quarantine(objects, DISTRICT, found, today=date.fromisoformat(day))

    def night(quarantined: int, day: int = 0) -> list[Cause]:
        told = replace(district(now=NOW + timedelta(days=day)), receipts=(recorded(quarantined=quarantined),))
        return tell(objects, told, "mail", by=f"night {day}")["mail"]

    set_aside("2026-03-01", "{}")
    assert night(1) == []  # it lay there before anybody was told of anything
    set_aside("2026-03-13", '{"a": 1}')
    assert night(2, day=1) == [Cause.QUARANTINE]
    assert night(2, day=2) == [Cause.QUARANTINE]  # it has stopped growing
    assert night(0, day=3) == []


def test_a_school_whose_pulls_fail_is_told_of_once_school_days_are_left_open(objects: Objects) -> None:
    days = [NOW.date() - timedelta(days=back) for back in range(1, 60)]
    for day in (one for one in days if one.weekday() < 5):
        objects.update(layout.partition_path(DISTRICT, day.isoformat(), "elm", "parquet"), lambda _: b"rows")
    objects.update(f"{layout.landed_prefix(DISTRICT)}/date=yesterday/school-elm.parquet", lambda _: b"of another hand")
    pull = Cover(is_settled=True, pulled_at="2026-03-05T03:00:00.000000Z", sync="2026-03-04T22:00:00.000000Z")
    elm = SchoolCoverage(proven=DayCovers().covered(DateRange(date(2025, 8, 1), date(2026, 3, 4)), pull))
    fallen = replace(district(), coverage=Coverage(DISTRICT, schools={"elm": elm}))
    assert tell(objects, fallen, "mail")["mail"] == [Cause.FALLING]
    assert tell(objects, fallen, "mail", by="the next run")["mail"] == []
    later = pull._replace(pulled_at="2026-03-12T03:00:00.000000Z", sync="2026-03-11T22:00:00.000000Z")
    whole = SchoolCoverage(proven=elm.proven.covered(DateRange(date(2026, 3, 4), NOW.date()), later))
    healed = replace(district(), coverage=Coverage(DISTRICT, schools={"elm": whole}))
    assert tell(objects, healed, "mail", by="a run after that")["mail"] == [Cause.FALLING]  # that it is over
