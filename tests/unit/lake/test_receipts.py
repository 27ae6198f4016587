"""Receipts and the correction feed: what a retry finds, and what it must not forget."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.lake import changes
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.lake.outcomes import school_receipt
from airflow_provider_clever.lake.outcomes import totals as totals_of
from airflow_provider_clever.lake.receipt_files import read_receipts, write_receipt
from airflow_provider_clever.lake.receipts import Asked, Receipt, SchoolReceipt, WrittenPartition
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.lake.tries import unite
from tests.lake.builders import DAY, DISTRICT, SCHOOL, SYNC, context, day, landed, row, texts

WORK = IdempotencyKey.of("dag", "run", "task", -1, {"schools": None}, month="2026-04")
COVERED = (DateRange.from_json(("2026-03-20", DAY)),)


@pytest.fixture
def destination(request: pytest.FixtureRequest) -> Destination:
    return Destination(MemoryFileSystem(), f"/receipts/{request.node.name}", district_id=DISTRICT, file_format="jsonl")


def receipt(schools: dict[str, SchoolReceipt], **values: Any) -> Receipt:
    return Receipt(
        **{
            "district_id": DISTRICT,
            "idempotency_key": WORK,
            "asked": Asked(date_range_start="2026-03-20", date_range_end=DAY),
            "file_format": "jsonl",
            "finished_at": "2026-04-20T04:00:00.000000Z",
            "sync_before": SYNC,
            "sync_after": SYNC,
            "settled": True,
            "schools": schools,
            **values,
        }
    )


def test_a_receipt_comes_back_from_json_as_it_was() -> None:
    partition = WrittenPartition(path="p", rows=3, content_hash="ab" * 32, counts={"added": 3})
    school = SchoolReceipt(
        state="landed", name="North", covered=COVERED, written={DAY: partition}, unchanged={"2026-03-31": "00"}
    )
    whole = receipt({SCHOOL: school}, changes=("a", "b"), totals={"rows": 3}, versions={"python": "3.11"})
    document = json.loads(json.dumps(whole.to_json()))
    assert Receipt.from_json(document) == whole
    assert document["schools"][SCHOOL]["covered"] == [["2026-03-20", DAY]]
    assert document["work"] == {"id": WORK.id, "month": "2026-04"}


def test_changed_days_are_those_of_all_tries_and_all_that_were_compared_after_a_killed_one(
    destination: Destination,
) -> None:
    def attempt(number: int, *, written: tuple[str, ...] = (), unchanged: tuple[str, ...] = ()) -> list[list[str]]:
        school = SchoolReceipt(
            state="landed",
            written={
                one: WrittenPartition(path="p", rows=1, content_hash="ab" * 32, counts={"added": 1}) for one in written
            },
            unchanged=dict.fromkeys(unchanged, "00"),
        )
        stands = write_receipt(destination.objects, receipt({SCHOOL: school}, try_number=number))
        return [one.to_json() for one in stands.changed_days]

    a, b, c = "2026-03-20", "2026-03-23", "2026-03-24"
    assert attempt(1, written=(b,), unchanged=(c,)) == [[b, b]]
    assert attempt(2, unchanged=(a, b, c)) == [[b, b]]  # both left a receipt, so nothing is unknown
    assert attempt(4, unchanged=(b, c)) == [[b, c]]  # the third was killed, and may have written c
    assert attempt(5, written=(a,), unchanged=(b,)) == [[a, a], [b, c]]
    assert attempt(5, written=(a,)) == [[a, a], [b, c]]


def test_a_first_receipt_of_a_later_try_counts_all_that_it_compared_as_changed(destination: Destination) -> None:
    school = SchoolReceipt(state="landed", unchanged={DAY: "00"})
    stands = write_receipt(destination.objects, receipt({SCHOOL: school}, try_number=2))
    assert [one.to_json() for one in stands.changed_days] == [[DAY, DAY]]


@pytest.mark.parametrize(
    "document", [{}, [], {"schema_version": 1}, {"schema_version": 99}, {"schema_version": 1, "schools": 3}]
)
def test_what_is_no_receipt_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"not a receipt|newer version"):
        Receipt.from_json(document)


def test_a_retry_has_the_same_path_and_another_run_another() -> None:
    same = IdempotencyKey.of("dag", "run", "task", -1, {"schools": None}, month="2026-04")
    assert same == WORK
    assert IdempotencyKey.of("dag", "run", "task", 0, {"schools": None}, month="2026-04") != same


def test_a_receipt_sums_up_what_landing_did(destination: Destination) -> None:
    first = destination.land(day([row("a"), row("b")]), context=context())
    again = destination.land(day([row("a"), row("b")]), context=context())
    other = destination.land(day([row("a")], attendance_date="2026-04-02"), context=context())
    other_again = destination.land(day([row("a")], attendance_date="2026-04-02"), context=context())
    nothing = destination.land(day([], attendance_date="2026-04-03"), context=context())
    school = school_receipt([first, again], state="landed", name="North", covered=COVERED)
    assert school.written[DAY].counts == {"added": 2}
    assert school.unchanged == {}
    assert school_receipt([other_again, nothing], state="landed").unchanged == {
        "2026-04-02": changes.short_hash(other.content_hash)
    }
    totals = totals_of([first, again, other, other_again, nothing])
    assert (totals["rows"], totals["partitions"], totals["written"], totals["unchanged"]) == (6, 4, 2, 2)
    assert totals["added"] == 3


def test_a_retry_does_not_forget_what_the_try_before_it_changed(destination: Destination) -> None:
    outcomes = [destination.land(day([row("a")]), context=context())]
    write_receipt(
        destination.objects,
        receipt(
            {SCHOOL: school_receipt(outcomes, state="landed", covered=COVERED)},
            totals=totals_of(outcomes),
        ),
    )
    outcomes = [destination.land(day([row("a")]), context=context())]
    later = school_receipt(outcomes, state="landed", covered=COVERED)
    path = write_receipt(destination.objects, receipt({SCHOOL: later}, totals=totals_of(outcomes))).path
    (united,) = read_receipts(destination.objects, DISTRICT)
    assert path == united.path
    assert united.schools[SCHOOL].written[DAY].counts == {"added": 1}
    assert united.schools[SCHOOL].unchanged == {}
    assert united.totals["added"] == 1


def test_days_that_only_an_earlier_try_covered_stay_covered_at_the_older_sync() -> None:
    earlier = receipt({SCHOOL: SchoolReceipt(state="landed", covered=COVERED)})
    later = receipt({SCHOOL: SchoolReceipt(state="failed", error="timeout")}, sync_before="2026-04-20T03:00:00.000000Z")
    united = unite(earlier, later)
    assert united.schools[SCHOOL].covered == COVERED
    assert united.schools[SCHOOL].state == "failed"
    assert united.sync_before == SYNC
    assert not united.settled


def test_a_retry_that_covers_everything_again_counts_at_its_own_sync() -> None:
    earlier = receipt({SCHOOL: SchoolReceipt(state="landed", covered=COVERED)}, settled=False)
    later = replace(earlier, sync_before="2026-04-20T03:00:00.000000Z", settled=True)
    united = unite(earlier, later)
    assert (united.sync_before, united.settled) == (later.sync_before, True)


def test_a_day_that_somebody_else_wrote_in_between_is_spoken_of_by_the_later_try() -> None:
    partition = WrittenPartition(path="p", rows=3, content_hash="ab" * 32, counts={"added": 3})
    earlier = receipt({SCHOOL: SchoolReceipt(state="landed", written={DAY: partition})})
    later = receipt({SCHOOL: SchoolReceipt(state="landed", unchanged={DAY: "cd" * 8})})
    assert unite(earlier, later).schools[SCHOOL] == later.schools[SCHOOL]


def test_a_damaged_receipt_raises_or_is_collected(destination: Destination) -> None:
    path = write_receipt(destination.objects, receipt({})).path
    destination.objects.fs.pipe_file(f"{destination.objects.root}/{path}", b"damaged")
    with pytest.raises(CleverLandingError, match="Restore it"):
        list(read_receipts(destination.objects, DISTRICT))
    damaged: list[str] = []
    assert list(read_receipts(destination.objects, DISTRICT, damaged=lambda path, _: damaged.append(path))) == []
    assert damaged == [path]
    with pytest.raises(CleverLandingError, match="Restore it"):
        write_receipt(destination.objects, receipt({}))


def test_changes_replayed_over_the_rows_before_give_the_rows_after(destination: Destination) -> None:
    feed = context(write_changes=True, idempotency_key=WORK)
    first = destination.land(day([row("a"), row("b")]), context=feed)
    second = destination.land(day([row("b", attendance_status="tardy"), row("c")]), context=feed)
    assert second.evidence is not None
    marked = destination.mark(SCHOOL, DAY, second.evidence, context=feed)
    found = [outcome.change for outcome in (marked, second, first)]
    documents = [changes.read_change(destination.objects, record.path) for record in found if record]
    assert marked.change is not None
    after = changes.replay(landed([]), documents, marked.change.after)
    assert texts(after, "student_id") == ["a", "b", "c"]
    assert texts(after, "missing_since") == [SYNC, None, None]
    assert changes.replay(after, documents, marked.change.after) == after
    with pytest.raises(CleverLandingError, match="do not lead"):
        changes.replay(landed([]), documents[:1], marked.change.after)


def test_a_change_that_another_one_followed_is_in_effect() -> None:
    """The partition stands neither where the change began nor where it led: somebody went on from there."""
    landing, marking, lost_race = (
        changes.ChangeRecord(f"{before}-{after}", SCHOOL, DAY, before * 16, after * 16)
        for before, after in ("ab", "bc", "cd")
    )
    assert changes.in_effect([landing, marking, lost_race], {(SCHOOL, DAY): "c" * 64}) == [landing, marking]


def test_the_receipt_lists_the_changes_of_a_try_that_was_killed_before_its_receipt(destination: Destination) -> None:
    feed = context(write_changes=True, idempotency_key=WORK)
    killed = destination.land(day([row("a")]), context=feed)
    retried = destination.land(day([row("a")]), context=feed)
    school = school_receipt([retried], state="landed")
    write_receipt(destination.objects, receipt({SCHOOL: school}, changes=()))
    (read,) = read_receipts(destination.objects, DISTRICT)
    assert killed.change is not None
    assert read.changes == (killed.change.path,)


def test_a_change_that_was_recorded_but_never_made_is_not_listed(destination: Destination) -> None:
    before = destination.land(day([row("a")]), context=context())
    start = changes.short_hash(before.content_hash)
    changes.write_change(destination.objects, DISTRICT, WORK, (SCHOOL, DAY, start, "f" * 16), [])
    school = school_receipt([destination.land(day([row("a")]), context=context())], state="landed")
    write_receipt(destination.objects, receipt({SCHOOL: school}, changes=()))
    (read,) = read_receipts(destination.objects, DISTRICT)
    assert read.changes == ()


def test_a_change_record_that_is_gone_or_damaged_is_named(destination: Destination) -> None:
    with pytest.raises(CleverLandingError, match="nowhere is not there, or damaged"):
        changes.read_change(destination.objects, "nowhere")


def test_a_work_that_cannot_stand_in_a_path_is_refused(destination: Destination) -> None:
    with pytest.raises(CleverSettingsError):
        write_receipt(destination.objects, receipt({}, idempotency_key=IdempotencyKey("../x", "2026-04")))
