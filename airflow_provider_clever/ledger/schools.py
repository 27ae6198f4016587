"""The schools of a district by name, as a table beside those of their rows: from what the ledger knows."""

import io
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import read_forgotten
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import read_coverage
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.updating import Failure

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

SCHOOL_COLUMNS: Final[dict[str, str]] = {
    "district_id": "Clever's id of the district",
    "school_id": "Clever's id of the school",
    "name": "as last seen; null: no list of schools has named it yet",
    "first_seen": "the date on which a run first knew of it",
    "last_seen": "the last date on which the district's list named it; null: it is shared still",
}
"""The columns, and what each means; none is about a student."""


def school_table(district_id: str, coverage: Coverage) -> "pa.Table":
    """Give a district's schools, sorted by id, in :data:`SCHOOL_COLUMNS`."""
    import pyarrow as pa

    rows = [
        {
            "district_id": district_id,
            "school_id": school_id,
            "name": school.name or None,
            "first_seen": school.first_seen,
            "last_seen": school.listed_on if coverage.is_gone(school_id) else None,
        }
        for school_id, school in sorted(coverage.schools.items())
    ]
    return pa.Table.from_pylist(rows, schema=_schema())


def write_schools(objects: Objects, district_ids: Iterable[str]) -> list[Failure]:
    """Bring the file of each district's schools up to date; one whose rows stay the same is not written.

    A district of which the ledger knows nothing, or that is forgotten, has none.

    :param objects: the destination.
    :returns: the districts whose file stands as it was, and why.
    """

    def written(district_id: str) -> Failure | None:
        try:
            _write(objects, district_id)
        except CleverError as error:
            return Failure(district_id, None, error)
        return None

    return [failure for failure in in_order(written, dict.fromkeys(district_ids)) if failure]


def _write(objects: Objects, district_id: str) -> None:
    table = school_table(district_id, read_coverage(objects, district_id).coverage)
    if not table.num_rows or read_forgotten(objects, district_id).tombstone is not None:
        return

    def next_data(data: bytes | None) -> bytes | None:
        return None if data is not None and _holds(data, table) else _bytes(table)

    objects.update(layout.schools_path(district_id), next_data)


def _holds(data: bytes, table: "pa.Table") -> bool:
    """Whether a file holds just these rows; another pyarrow writes other bytes for them, which is no reason to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not read_table(): its scanner's threads let go of Python's bytes when they like, also after the interpreter's
        # end, and then abort the process.
        found = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except (pa.ArrowException, OSError):
        return False  # damaged: it is written again
    return bool(found.equals(table, check_metadata=True))


def _bytes(table: "pa.Table") -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def _schema() -> "pa.Schema":
    import pyarrow as pa

    kinds = {"first_seen": pa.date32(), "last_seen": pa.date32()}
    return pa.schema(
        [
            pa.field(name, kinds.get(name, pa.string()), name in ("name", "first_seen", "last_seen"), {"comment": text})
            for name, text in SCHOOL_COLUMNS.items()
        ]
    )
