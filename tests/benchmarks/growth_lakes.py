"""What is measured at growing sizes of whole lakes and lists: a sweep, ``verify``, a DAG file, and quarantine."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from airflow_provider_clever.api.pages import decode_page_to_land
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.dates import DateRange, first_retained
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.quarantine import quarantine
from airflow_provider_clever.lake.verify import verify
from airflow_provider_clever.pull.rejected import RejectedRows
from airflow_provider_clever.sandbox.testing import running_sandbox
from airflow_provider_clever.storage.compressed import read_gzipped_json
from tests.benchmarks.growth import Curve, Work
from tests.benchmarks.growth_curves import TODAY, CountedObjects
from tests.integration.ledger.nights import Nights
from tests.lake import emulators

_DAYS: Final = 20
_BAD_A_PAGE: Final = 500
_RETAINED: Final = DateRange(first_retained(TODAY), TODAY)


def _landed(schools: int, folder: Path, running: ExitStack) -> Nights:
    """A district of so many schools, of which nothing has landed yet."""
    sandbox = running.enter_context(running_sandbox(today=TODAY.isoformat()))
    sandbox.reset(
        today=TODAY.isoformat(),
        districts=["large"],
        large_schools=schools,
        large_students=2,
        large_school_days=_DAYS,
    )
    return Nights(sandbox, folder, "large")


def _sweep(schools: int, folder: Path) -> Work:
    """Pull everything that Clever still has of a district whose lake in S3 has it already."""
    running = ExitStack()
    nights = _landed(schools, folder, running)
    store = running.enter_context(emulators.s3())
    nights.objects = objects_at(store.filesystem(), store.root)
    nights.night()
    store.requests()

    def act() -> tuple[int, int]:
        with running:
            nights.night(asked=_RETAINED)
            return len(store.requests()), 0

    return act


def _verify(schools: int, folder: Path) -> Work:
    """Read everything that has landed again, on a local disk."""
    with ExitStack() as running:
        nights = _landed(schools, folder, running)
        nights.night()

    def act() -> tuple[int, int]:
        report = verify(nights.objects.fs, nights.objects.root)
        if report.partitions != schools * _DAYS or any(report.counts.values()):
            raise ValueError(f"verify found {report.partitions} partitions and {report.counts}")
        return report.partitions, sum(file.stat().st_size for file in folder.rglob("*.jsonl.gz"))

    return act


def _dag_file(districts: int, folder: Path) -> Work:
    """Make the DAGs of a list, as the DAG processor does."""
    folder.mkdir(parents=True)
    os.environ.setdefault("AIRFLOW_HOME", str(folder / "airflow"))
    from airflow_provider_clever.dags import attendance_dags

    listed = folder / "districts.yaml"
    ids = "".join(f"  - district_id: 65e{number:021x}\n" for number in range(districts))
    listed.write_text(f"defaults: {{destination: 's3://a@b/c', timezone: America/Chicago}}\ndistricts:\n{ids}")

    def act() -> tuple[int, int]:
        return len(attendance_dags(listed)), listed.stat().st_size

    return act


def _quarantine(rows: int, folder: Path) -> Work:
    """Read pages half of whose rows cannot land, and keep these."""
    objects = CountedObjects(folder)
    pages = [_half_bad(page, min(_BAD_A_PAGE, rows - page * _BAD_A_PAGE)) for page in range(-(-rows // _BAD_A_PAGE))]

    def keep(rejected: Mapping[str, Sequence[RejectedRow]]) -> None:
        for some in rejected.values():
            quarantine(objects, "65e000000000000000000001", some, today=TODAY)

    def act() -> tuple[int, int]:
        held = RejectedRows(keep)
        for number, body in enumerate(pages, start=1):
            held.take("school", decode_page_to_land(body, number))
        held.hand_over()
        kept = sum(len(read_gzipped_json(file.read_bytes())) for file in folder.rglob("quarantine/*.json.gz"))
        if kept != rows or held.errors():
            raise ValueError(f"{kept} rows of {rows} are in quarantine")
        return objects.calls, objects.bytes

    return act


def _half_bad(page: int, bad: int) -> bytes:
    good = {"attendance_date": "2026-11-20", "attendance_type": "daily", "attendance_status": "present"}
    place = {"school_id": "5c0000000000000000000001", "district_id": "65e000000000000000000001"}
    rows = [
        {**good, **place, "student_id": f"{page * _BAD_A_PAGE + number:024x}", "sis_id": f"{page}-{number}"}
        for number in range(bad)
    ]
    return json.dumps(
        {"data": [*rows, *({**row, "attendance_date": "yesterday"} for row in rows)], "links": []}
    ).encode()


CURVES: Final = (
    Curve("quarantine of rows that cannot land", "rows", 100_000, _quarantine),
    Curve("sweep of what has landed in S3, 20 days a school", "schools", 50, _sweep),
    Curve("verify of what has landed, 20 days a school", "schools", 50, _verify),
    Curve("DAG file: a list of districts", "districts", 2000, _dag_file),
)
