"""Sync stamps compared: the one table that the sensor and both triggers decide by."""

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverError,
    CleverHTTPError,
    CleverNotFoundError,
    CleverProtocolError,
    CleverRateLimitError,
    CleverSettingsError,
    CleverTransportError,
)
from airflow_provider_clever.models import District
from airflow_provider_clever.syncs import (
    ChangeLog,
    SyncCondition,
    WaitMemory,
    ends_the_wait,
    is_paused,
    moment_text,
    observe,
    sync_moment,
)

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
NOON = "2026-11-20T12:00:00Z"

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def district(**fields: Any) -> District:
    return District(id="d1", **fields)


SEQUENCES = {
    "equal timestamps are no advance": (NOON, [NOON], ["unchanged"]),
    "Z and +00:00 are the same instant": (NOON, ["2026-11-20T12:00:00+00:00"], ["unchanged"]),
    "another offset is the same instant": (NOON, ["2026-11-20T06:00:00-06:00"], ["unchanged"]),
    "trailing zeros change nothing": (NOON, ["2026-11-20T12:00:00.000Z"], ["unchanged"]),
    "a millisecond later is an advance": (NOON, ["2026-11-20T12:00:00.001Z"], ["advanced"]),
    "a millisecond earlier is a step back": (NOON, ["2026-11-20T11:59:59.999Z"], ["gone_backwards"]),
    "later text with an earlier instant is a step back": (NOON, ["2026-11-20T13:00:00+02:00"], ["gone_backwards"]),
    "never synced stays never synced": (None, [None, None], ["never_synced", "never_synced"]),
    "an empty text is no sync": (None, [""], ["never_synced"]),
    "null to value is an advance": (None, [None, NOON], ["never_synced", "advanced"]),
    "gone null": (NOON, [None, None], ["gone_null", "gone_null"]),
    "value to null to the same value is no advance": (NOON, [None, NOON], ["gone_null", "unchanged"]),
    "value to null to a later value is one": (NOON, [None, "2026-11-21T12:00:00Z"], ["gone_null", "advanced"]),
    "value to null to an earlier value is a step back": (
        NOON,
        [None, "2026-11-19T12:00:00Z"],
        ["gone_null", "gone_backwards"],
    ),
    "backwards, then forwards below the old value": (
        NOON,
        ["2026-11-18T12:00:00Z", "2026-11-18T12:00:00Z", "2026-11-19T12:00:00Z"],
        ["gone_backwards", "unchanged", "advanced"],
    ),
}


@pytest.mark.parametrize(("baseline", "stamps", "conditions"), SEQUENCES.values(), ids=SEQUENCES)
def test_each_look_tells_the_condition(baseline: str | None, stamps: list[str | None], conditions: list[str]) -> None:
    known = sync_moment(baseline)
    seen = []
    for stamp in stamps:
        look = observe(district(last_attendance_sync=stamp), known, NOW)
        seen.append(str(look.condition))
        known = look.next_baseline
    assert seen == conditions


@given(st.none() | moments, st.none() | moments)
def test_only_a_later_instant_is_an_advance(baseline: datetime | None, found: datetime | None) -> None:
    look = observe(district(last_attendance_sync=found), baseline, NOW)
    assert look.advanced == (found is not None and (baseline is None or found > baseline))
    assert observe(district(last_attendance_sync=found), look.next_baseline, NOW).advanced is False or found is None


@given(moments, st.integers(-12, 12))
def test_text_and_instant_go_back_and_forth_and_sort_alike(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert sync_moment(moment_text(elsewhere)) == moment
    later = moment + timedelta(microseconds=1)
    assert moment_text(moment) < moment_text(later)


@pytest.mark.parametrize("blank", [None, "", "  ", "None"])
def test_a_blank_baseline_is_none(blank: str | None) -> None:
    assert sync_moment(blank) is None


@pytest.mark.parametrize("text", ["yesterday", "2026-11-20", 1767571200, "2026-13-01T00:00:00Z"])
def test_an_unreadable_baseline_is_refused_without_quoting_it(text: object) -> None:
    with pytest.raises(ValueError, match="not a") as refused:
        sync_moment(text)
    assert str(text) not in str(refused.value)


PAUSES = {
    "by its state": ({"state": "paused"}, True),
    "by instants around now": ({"pause_start": "2026-11-01T00:00:00Z", "pause_end": "2026-12-01T00:00:00Z"}, True),
    "by dates around now": ({"pause_start": "2026-11-01", "pause_end": "2026-12-01"}, True),
    "until today": ({"pause_start": "2026-11-01", "pause_end": "2026-11-23"}, True),
    "not any more": ({"pause_start": "2026-11-01", "pause_end": "2026-11-22"}, False),
    "not yet": ({"pause_start": "2026-11-24", "pause_end": "2026-12-22"}, False),
    "not by half a pause": ({"pause_start": "2026-11-01"}, False),
    "not when it runs": ({"state": "running"}, False),
    "not when nothing is said": ({"state": "", "pause_start": "", "pause_end": None}, False),
}


@pytest.mark.parametrize(("fields", "paused"), PAUSES.values(), ids=PAUSES)
def test_a_district_is_paused(fields: dict[str, Any], paused: bool) -> None:
    assert is_paused(district(**fields), NOW) is paused


def test_an_advance_counts_though_the_district_is_paused() -> None:
    look = observe(district(state="paused", last_attendance_sync=NOON), None, NOW)
    assert look.advanced
    assert "paused" not in str(look)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (CleverSettingsError("x"), True),
        (CleverAuthError(401, "/p", "x"), True),
        (CleverNotFoundError(404, "/p", "x"), True),
        (CleverTransportError("x"), False),
        (CleverHTTPError(503, "/p", "x"), False),
        (CleverRateLimitError(429, "/p", "x"), False),
        (CleverProtocolError("an HTML page"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_somebody_must_mend_ends_a_wait(error: CleverError, ends: bool) -> None:
    assert ends_the_wait(error) is ends


def test_each_change_of_condition_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    changes = ChangeLog(logging.getLogger("looks"))
    looks = [observe(district(last_attendance_sync=stamp), sync_moment(NOON), NOW) for stamp in (NOON, NOON, None)]
    for look in looks:
        changes.observed(look)
    for _ in range(3):
        changes.trouble(CleverTransportError("Connection refused."), "Looking again in 60 s.")
    changes.observed(looks[0])
    assert [record.getMessage() for record in caplog.records] == [
        "District d1 has not synced attendance since 2026-11-20T12:00:00.000000Z.",
        "District d1 names no attendance sync any more; the last known is 2026-11-20T12:00:00.000000Z.",
        "Connection refused. Looking again in 60 s.",
        "District d1 has not synced attendance since 2026-11-20T12:00:00.000000Z.",
    ]


def test_the_conditions_are_told_apart() -> None:
    texts = {
        str(observe(district(last_attendance_sync=stamp), sync_moment(baseline), NOW))
        for baseline, stamp in [(None, None), (NOON, NOON), (NOON, None), (NOON, "2026-11-19T12:00:00Z")]
    }
    assert len(texts) == len(SyncCondition) - 1


# --- what a wait remembers ------------------------------------------------------------------------------------------

EARLY, LATE, LATER = "2026-11-18T12:00:00Z", "2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"


def told(stamps: list[str | None], baseline: str | None = LATE, *, is_restarted: bool = False) -> list[str | None]:
    """The stamps that are told as advances, look by look."""
    memory, known, found = WaitMemory(), sync_moment(baseline), list[str | None]()
    for stamp in stamps:
        look = memory.settled(observe(district(last_attendance_sync=stamp), known, NOW))
        known = look.next_baseline
        found += [stamp] if look.advanced else []
        if is_restarted:
            memory = WaitMemory.of_note(memory.as_note())
    return found


@pytest.mark.parametrize("is_restarted", [False, True])
@given(st.lists(st.sampled_from([EARLY, LATE, None]), max_size=30))
def test_two_stamps_that_alternate_are_never_news(is_restarted: bool, stamps: list[str | None]) -> None:
    assert told(stamps, is_restarted=is_restarted) == []
    assert told([*stamps, LATER, *stamps, LATER], is_restarted=is_restarted) == [LATER]


def test_a_stamp_that_went_back_is_the_baseline_once_it_has_stood() -> None:
    between = "2026-11-19T12:00:00Z"
    assert told([EARLY, EARLY, EARLY, between]) == [between]
    assert told([EARLY, EARLY, between]) == []
    assert told([EARLY, between, EARLY, between, EARLY, between]) == []


def test_what_was_told_and_did_not_arrive_is_told_once_more() -> None:
    memory, known = WaitMemory(), sync_moment(LATE)
    for _ in range(2):
        assert memory.settled(observe(district(last_attendance_sync=LATER), known, NOW)).advanced
        memory.forget(sync_moment(LATER))


@pytest.mark.parametrize("note", [None, 5, {"reported": 5}, {"reported": ["x"]}, {"lower": 5}, {"lower_polls": "x"}])
def test_a_memory_that_cannot_be_read_is_an_empty_one(note: object) -> None:
    assert WaitMemory.of_note(note) == WaitMemory()


def test_what_only_a_person_can_fix_ends_a_wait_when_it_stands() -> None:
    memory = WaitMemory()
    trouble = CleverTransportError("the proxy", needs_person=True)
    assert [memory.ends(trouble) for _ in range(2)] == [False, False]
    memory.settled(observe(district(), None, NOW))
    assert [memory.ends(trouble) for _ in range(2)] == [False, False]
    assert not memory.ends(CleverTransportError("silent"))
    assert [memory.ends(trouble) for _ in range(3)] == [False, False, True]
    assert memory.ends(CleverSettingsError("x"))
