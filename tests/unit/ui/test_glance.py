"""Districts at a glance, and what a person is told of those that cannot be shown."""

import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.forget.requests import Forgetting
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import ForgottenDistrictError, forgotten_path
from airflow_provider_clever.ledger.coverage_store import Listing, record_coverage
from airflow_provider_clever.ledger.status_file import DistrictStatus, read_status, status_path, write_status
from airflow_provider_clever.plugins.waiting import AT_ONCE, within
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.ui.views import District, Glance, district_view

DISTRICT, OTHER = "5f0c0a000000000000000001", "5f0c0a000000000000000002"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def objects_in(folder: Path) -> Objects:
    return layout.objects_at(LocalFileSystem(), str(folder))


def status(district_id: str, timezone: str = "UTC") -> DistrictStatus:
    counts = dict.fromkeys(("schools", "gaps", "expiring", "lost", "withheld", "failing", "gone", "missing"), 0)
    return DistrictStatus(
        district_id=district_id,
        as_of="2026-05-01",
        timezone=timezone,
        last_sync=None,
        newest_day=None,
        watermark=None,
        days_to_expiry=None,
        quarantined=0,
        **counts,
    )


def test_a_forgotten_district_is_said_to_be_forgotten_even_if_its_status_still_stands(tmp_path: Path) -> None:
    objects, district = objects_in(tmp_path), District(district_id=DISTRICT, destination=str(tmp_path))
    Forgetting(objects, DISTRICT, longest_task_hours=0).district()
    for _ in range(2):
        (row,) = Glance([district], lambda _: objects, NOW).read()
        assert (row.status, row.is_unreadable) == (None, False)
        assert "was forgotten here on" in row.problem
        with pytest.raises(ForgottenDistrictError):
            district_view(objects, district, NOW)
        write_status(objects, status(DISTRICT))  # as a run does that was under way


def test_a_status_of_an_unknown_zone_counts_as_none(tmp_path: Path) -> None:
    objects = objects_in(tmp_path)
    write_status(objects, status(DISTRICT, timezone="Nowhere/At_All"))
    assert objects.read(status_path(DISTRICT))
    assert read_status(objects, DISTRICT) is None


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Path]:
    """A place at which a read of one district does not end, as on a file server that is gone."""
    pipe = tmp_path / forgotten_path(OTHER)
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    yield tmp_path
    with open(pipe, "r+b", buffering=0):  # noqa: PTH123 - lets the reader go
        pipe.unlink()


def test_a_district_that_hangs_leaves_the_others_shown(hung: Path) -> None:
    objects = objects_in(hung)
    write_status(objects, status(DISTRICT))
    districts = [District(district_id=id_, destination=str(hung)) for id_ in (DISTRICT, OTHER)]
    glance = Glance(districts, lambda _: objects, NOW)
    rows = within(glance.read, "all of them", otherwise=glance.so_far, most_seconds=2)
    assert {row.district.district_id: row.status is not None for row in rows} == {DISTRICT: True, OTHER: False}
    assert [row.is_unreadable for row in rows if row.status is None] == [True]


def test_reads_that_hang_do_not_pile_up_and_do_not_hold_up_those_of_other_places() -> None:
    end, begun = threading.Event(), []

    def hang() -> None:
        begun.append(1)
        end.wait(60)

    try:
        for _ in range(AT_ONCE + 1):
            with pytest.raises(CleverLandingError, match="s3://hung did not answer within"):
                within(hang, "s3://hung", most_seconds=0.05)
        assert len(begun) == AT_ONCE
        assert within(lambda: 7, "s3://healthy") == 7
    finally:
        end.set()


def test_what_a_read_raises_comes_out_of_it() -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        within(fail, "anywhere")


def test_a_destination_that_is_refused_for_its_key_is_not_shown_with_it() -> None:
    district = District(district_id=DISTRICT, destination="s3://AKIAEXAMPLE:made-up-key@bucket/lake")
    (row,) = Glance([district], lambda place: open_destination(place).objects, NOW).read()
    assert row.is_unreadable
    assert "made-up-key" not in f"{row.title} {row.subtitle} {row.problem}"


def test_a_report_links_to_the_districts_that_have_a_calendar_in_it_and_to_no_others(tmp_path: Path) -> None:
    places = {id_: objects_in(tmp_path) for id_ in (DISTRICT, OTHER)}
    for district_id, objects in places.items():
        write_status(objects, status(district_id))
    record_coverage(places[DISTRICT], DISTRICT, Listing(today=NOW.date(), schools={"5f0c0b000000000000000001": "Elm"}))
    file = tmp_path / "report.html"
    main(
        ["report", str(tmp_path), "-o", str(file), "--district", DISTRICT, "--district", OTHER, "--today", "2026-05-01"]
    )
    html = file.read_text()
    links, sections = re.findall(r'href="#([^"]+)"', html), re.findall(r' id="(district-[^"]+)"', html)
    assert [one for one in links if one.startswith("district-")] == sections == [f"district-{DISTRICT}"]
    assert OTHER in html
