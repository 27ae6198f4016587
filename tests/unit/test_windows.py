"""Which attendance dates a run is about."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.windows import DateWindow, RunFacts, WindowSource, run_window

DENVER = ZoneInfo("America/Denver")
HONOLULU = ZoneInfo("Pacific/Honolulu")  # UTC-10
KIRITIMATI = ZoneInfo("Pacific/Kiritimati")  # UTC+14
DISTRICT = "65bb00000000000000000001"
OTHER_DISTRICT = "65bb00000000000000000002"
JANUARY_5 = date(2026, 1, 5)


def window(facts: RunFacts, **arguments) -> tuple[str, str, WindowSource]:
    found = run_window(facts, **arguments)
    return str(found.start), str(found.end), found.source


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def sync_event(new: str, previous: str | None, district_id: str = DISTRICT) -> dict[str, object]:
    return {"district_id": district_id, "last_attendance_sync": new, "previous": previous}


EVERYTHING = RunFacts(
    timezone=DENVER,
    params={"date_range_start": "2026-02-01", "date_range_end": "2026-02-02"},
    partition_key="2026-03-01",
    asset_events=(sync_event("2026-04-02T12:00:00Z", "2026-04-01T12:00:00Z"),),
    data_interval_start=utc("2026-05-01T12:00"),
    data_interval_end=utc("2026-05-02T12:00"),
    logical_date=utc("2026-06-01T12:00"),
    run_after=utc("2026-07-01T12:00"),
)


def test_the_order_in_which_a_run_is_asked():
    facts = {name: getattr(EVERYTHING, name) for name in RunFacts.__slots__}
    dates = {"date_range_start": "2026-01-01", "date_range_end": "2026-01-02"}
    found = [run_window(EVERYTHING, **dates, district_id=DISTRICT)]
    for nothing in (
        {},
        {"params": {}},
        {"partition_key": None},
        {"asset_events": ()},
        {"data_interval_start": None, "data_interval_end": None},
        {"logical_date": None},
    ):
        facts |= nothing
        found.append(run_window(RunFacts(**facts), district_id=DISTRICT))
    assert [(str(f.start), str(f.end), f.source.value) for f in found] == [
        ("2026-01-01", "2026-01-02", "arguments"),
        ("2026-02-01", "2026-02-02", "params"),
        ("2026-03-01", "2026-03-01", "partition key"),
        ("2026-04-01", "2026-04-02", "asset events"),
        ("2026-05-01", "2026-05-02", "data interval"),
        ("2026-06-01", "2026-06-01", "logical date"),
        ("2026-07-01", "2026-07-01", "moment for which the run was made; it has no logical date"),
    ]


def test_a_run_that_says_nothing_is_told_what_to_set():
    with pytest.raises(CleverSettingsError, match=r"Set date_range_start and date_range_end"):
        run_window(RunFacts(), lookback_days=14)


@pytest.mark.parametrize("blank", [None, "", "None"])
def test_blank_dates_count_as_not_given(blank):
    facts = RunFacts(params={"date_range_start": blank, "date_range_end": blank}, partition_key="2026-01-05")
    assert window(facts, date_range_start=blank, date_range_end=blank) == (
        "2026-01-05",
        "2026-01-05",
        WindowSource.PARTITION_KEY,
    )


@pytest.mark.parametrize("day", ["2026-01-05", JANUARY_5], ids=["text", "date"])
def test_dates_may_be_text_or_dates(day):
    assert window(RunFacts(), date_range_start=day, date_range_end=day)[:2] == ("2026-01-05", "2026-01-05")


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("2026-01-05", None, "date_range_end is missing"),
        ("2026-01-05", "None", "date_range_end is missing"),
        ("", JANUARY_5, "date_range_start is missing"),
        ("2026-01-06", "2026-01-05", "2026-01-06 lies after date_range_end 2026-01-05"),
        ("2026-1-5", "2026-01-06", "date_range_start is '2026-1-5', no date"),
        ("20260105", "2026-01-06", "no date"),
        ("2026-01-05T00:00:00", "2026-01-06", "no date"),
        (" 2026-01-05", "2026-01-06", "no date"),
        ("2026-01-05\n", "2026-01-06", "no date"),
        ("\u0662\u0660\u0662\u0666-01-05", "2026-01-06", "no date"),
        ("2026-02-30", "2026-03-01", "'2026-02-30', no date"),
        ("2026-01-05", 20260106, "date_range_end is 20260106, no date"),
        ("2026-01-05", False, "date_range_end is False, no date"),
        (datetime(2026, 1, 5, tzinfo=UTC), "2026-01-06", "date_range_start is a moment, not a date"),
    ],
)
def test_unusable_dates_are_refused_wherever_they_are_stated(start, end, says):
    with pytest.raises(CleverSettingsError, match=rf"{says}.*\(in the arguments\)"):
        run_window(EVERYTHING, date_range_start=start, date_range_end=end)
    with pytest.raises(CleverSettingsError, match=rf"{says}.*\(in the params\)"):
        run_window(RunFacts(params={"date_range_start": start, "date_range_end": end}))


def test_a_long_wrong_value_is_not_repeated_whole():
    with pytest.raises(CleverSettingsError) as caught:
        run_window(RunFacts(), date_range_start="x" * 1000, date_range_end="2026-01-05")
    assert len(str(caught.value)) < 150


# --- lookback -------------------------------------------------------------------------------------------------------


def test_lookback_extends_the_runs_own_window_backwards():
    found = run_window(RunFacts(partition_key="2026-01-05"), lookback_days=14)
    assert found == DateWindow(date(2025, 12, 22), JANUARY_5, WindowSource.PARTITION_KEY, 14)
    assert str(found) == "2025-12-22 to 2026-01-05 (from the partition key, 14 days of lookback included)"


@pytest.mark.parametrize(
    ("facts", "arguments"),
    [
        (RunFacts(), {"date_range_start": "2026-01-05", "date_range_end": "2026-01-05"}),
        (RunFacts(params={"date_range_start": "2026-01-05", "date_range_end": "2026-01-05"}), {}),
        (RunFacts(run_type="backfill", partition_key="2026-01-05"), {}),
        (RunFacts(run_type="backfill", logical_date=utc("2026-01-05T12:00")), {}),
    ],
    ids=["arguments", "params", "backfill by key", "backfill by date"],
)
def test_stated_dates_and_backfills_are_not_looked_back_from(facts, arguments):
    found = run_window(facts, **arguments, lookback_days=14)
    assert (found.start, found.end, found.lookback_days) == (JANUARY_5, JANUARY_5, 0)
    assert "lookback" not in str(found)


@pytest.mark.parametrize("lookback", [-1, 367, 10**9, True, "14", 1.5, None])
def test_an_unusable_lookback_is_refused(lookback):
    with pytest.raises(CleverSettingsError, match="lookback_days must be a whole number of days from 0 to 366"):
        run_window(RunFacts(partition_key="2026-01-05"), lookback_days=lookback)


# --- partition keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["2026-01-05", "2026-01-05T06:30:00"], ids=["date", "Airflow's own key format"])
def test_a_partition_key_that_is_a_local_date_names_that_day(key):
    assert window(RunFacts(timezone=KIRITIMATI, partition_key=key))[:2] == ("2026-01-05", "2026-01-05")


@pytest.mark.parametrize("key", [None, "", "d7|2026-01-05", "2026-02-30", "2026-01", "2026-01-05T00:00:00Z"])
def test_any_other_partition_key_says_nothing_about_dates(key):
    facts = RunFacts(partition_key=key, logical_date=utc("2026-01-07T12:00"))
    assert window(facts) == ("2026-01-07", "2026-01-07", WindowSource.LOGICAL_DATE)


# --- asset events ---------------------------------------------------------------------------------------------------


def test_a_sync_event_spans_the_local_dates_from_the_previous_sync_to_the_new_one():
    event = sync_event("2026-01-08T05:30:00.123Z", "2026-01-06T06:59:59Z")
    assert window(RunFacts(timezone=DENVER, asset_events=(event,)), district_id=DISTRICT)[:2] == (
        "2026-01-05",
        "2026-01-07",
    )


def test_events_that_queued_up_make_one_span_whatever_their_order():
    events = (
        sync_event("2026-01-09T12:00:00Z", "2026-01-08T12:00:00Z"),
        sync_event("2026-01-08T12:00:00+00:00", "2026-01-06T12:00:00+00:00"),
    )
    for order in (events, events[::-1]):
        assert window(RunFacts(asset_events=order), district_id=DISTRICT)[:2] == ("2026-01-06", "2026-01-09")


def test_another_districts_events_do_not_count():
    ours = sync_event("2026-01-09T12:00:00Z", "2026-01-08T12:00:00Z")
    theirs = sync_event("2026-01-20T12:00:00Z", "2026-01-01T12:00:00Z", OTHER_DISTRICT)
    assert window(RunFacts(asset_events=(theirs, ours)), district_id=DISTRICT)[:2] == ("2026-01-08", "2026-01-09")
    with pytest.raises(CleverSettingsError, match="nothing says which attendance dates"):
        run_window(RunFacts(asset_events=(theirs,)), district_id=DISTRICT)
    with pytest.raises(CleverSettingsError, match=r"2 districts started this run .* Set its district_id"):
        run_window(RunFacts(asset_events=(theirs, ours)))
    assert window(RunFacts(asset_events=(ours,)))[:2] == ("2026-01-08", "2026-01-09")


def test_the_first_sync_ever_seen_stands_for_its_own_date():
    event = sync_event("2026-01-09T12:00:00Z", None)
    assert window(RunFacts(asset_events=(event,)), district_id=DISTRICT)[:2] == ("2026-01-09", "2026-01-09")


@pytest.mark.parametrize("value", [None, "", "yesterday", "2026-01-09T12:00:00", "2026-01-09", 1767571200, {}])
def test_a_sync_event_that_cannot_be_read_is_not_passed_over(value):
    event = {"district_id": DISTRICT, "last_attendance_sync": value, "previous": None}
    facts = RunFacts(asset_events=(event,), logical_date=utc("2026-01-07T12:00"))
    with pytest.raises(CleverSettingsError, match="sync event of this district says"):
        run_window(facts, district_id=DISTRICT)


def test_events_that_are_not_about_syncs_are_passed_over():
    facts = RunFacts(asset_events=({"rows": 3}, {"district_id": 7}), logical_date=utc("2026-01-07T12:00"))
    assert window(facts)[2] is WindowSource.LOGICAL_DATE


# --- the calendar ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "instant", "local_date"),
    [
        (HONOLULU, "2026-01-05T09:59", "2026-01-04"),
        (HONOLULU, "2026-01-05T10:00", "2026-01-05"),
        (DENVER, "2026-01-06T03:00", "2026-01-05"),  # 20:00 in Denver: the UTC date is one off
        (UTC, "2026-01-05T00:00", "2026-01-05"),
        (KIRITIMATI, "2026-01-05T09:59", "2026-01-05"),
        (KIRITIMATI, "2026-01-05T10:00", "2026-01-06"),
    ],
)
def test_plain_cron_means_the_local_date_of_its_instant(zone, instant, local_date):
    at = utc(instant)
    for facts in (
        RunFacts(timezone=zone, data_interval_start=at, data_interval_end=at, logical_date=at),
        RunFacts(timezone=zone, logical_date=at),
    ):
        assert window(facts)[:2] == (local_date, local_date)


def test_an_interval_that_ends_at_local_midnight_does_not_touch_the_next_day():
    def touched(start: str, end: str) -> tuple[str, str]:
        facts = RunFacts(timezone=DENVER, data_interval_start=utc(start), data_interval_end=utc(end))
        return window(facts)[:2]

    assert touched("2026-01-05T07:00", "2026-01-06T07:00") == ("2026-01-05", "2026-01-05")
    assert touched("2026-01-05T07:00", "2026-01-06T07:00:00.000001") == ("2026-01-05", "2026-01-06")
    assert touched("2026-01-05T06:59", "2026-01-06T07:00") == ("2026-01-04", "2026-01-05")
    # The clocks change on these nights: days of 23 and of 25 hours.
    assert touched("2026-03-08T07:00", "2026-03-09T06:00") == ("2026-03-08", "2026-03-08")
    assert touched("2026-11-01T06:00", "2026-11-02T07:00") == ("2026-11-01", "2026-11-01")


ZONES = st.one_of(
    st.sampled_from(
        [
            HONOLULU,
            KIRITIMATI,
            DENVER,
            ZoneInfo("America/Havana"),  # its clocks change at midnight
            ZoneInfo("Asia/Kathmandu"),
            ZoneInfo("Australia/Lord_Howe"),  # its clocks change by half an hour
            UTC,
        ]
    ),
    st.integers(-10 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
INSTANTS = st.integers(0, 5_000_000).map(lambda minutes: utc("2020-01-01T00:00") + timedelta(minutes=minutes))
DAYS = st.dates(date(2020, 1, 1), date(2030, 12, 31))


@given(zone=ZONES, first=DAYS, days=st.integers(1, 40))
def test_windows_of_daily_runs_tile_the_calendar_in_any_zone(zone, first, days):
    def local_midnight(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    calendar = [first + timedelta(days=n) for n in range(days)]
    windows = [
        run_window(
            RunFacts(
                timezone=zone,
                data_interval_start=local_midnight(day),
                data_interval_end=local_midnight(day + timedelta(days=1)),
                logical_date=local_midnight(day),
            )
        )
        for day in calendar
    ]
    assert [(w.start, w.end) for w in windows] == [(day, day) for day in calendar]


@given(zone=ZONES, start=INSTANTS, minutes=st.integers(0, 10_000))
def test_a_window_holds_the_date_of_every_instant_of_its_interval(zone, start, minutes):
    end = start + timedelta(minutes=minutes)
    found = run_window(RunFacts(timezone=zone, data_interval_start=start, data_interval_end=end))
    last = max(start, end - timedelta(microseconds=1))
    assert (found.start, found.end) == (start.astimezone(zone).date(), last.astimezone(zone).date())


@given(zone=ZONES, start=INSTANTS)
def test_a_runs_window_does_not_depend_on_the_zone_its_instants_are_written_in(zone, start):
    end = start + timedelta(days=1)
    written = [
        RunFacts(timezone=zone, data_interval_start=start.astimezone(z), data_interval_end=end.astimezone(z))
        for z in (UTC, zone, DENVER)
    ]
    assert len({window(facts) for facts in written}) == 1
