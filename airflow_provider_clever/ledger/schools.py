"""The schools of a district by name, as a table beside those of their rows: from what the ledger knows."""

import io
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import read_forgotten
from airflow_provider_clever.ledger.coverage import Coverage
from airflow_provider_clever.ledger.coverage_store import read_coverage
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.registry import register
from airflow_provider_clever.table.schools import SCHOOL_COLUMNS
from airflow_provider_clever.table.updating import Failure

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_clever.table.table import Table


def school_table(district_id: str, coverage: Coverage) -> "pa.Table":
    """Give a district's schools, sorted by id, in the columns of tables of schools."""
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


def write_schools(objects: Objects, district_ids: Iterable[str], table: "Table | None" = None) -> list[Failure]:
    """Bring the file of each district's schools up to date, and the table of all; what stays the same is not written.

    A district of which the ledger knows nothing, or that is forgotten, has none.

    :param objects: the destination.
    :param table: the table of attendance that the schools stand beside. Default: they have the files alone.
    :returns: the districts whose schools stand as they were, and why.
    :raises CleverSettingsError: the catalog of the table is of no use.
    :raises CleverLandingError: the table cannot be read or written.
    """

    def written(district_id: str) -> "pa.Table | Failure | None":
        try:
            return _written(objects, district_id)
        except CleverError as error:
            return Failure(district_id, None, error)

    ids = list(dict.fromkeys(district_ids))
    found = dict(zip(ids, in_order(written, ids), strict=True))
    if table is not None and table.schools is not None:
        registration = table.registration or {}

        def registered(new: Collection[str]) -> None:
            for _ in in_order(lambda one: register(objects, one, registration), new):
                pass

        known = {one: rows for one, rows in found.items() if rows is not None and not isinstance(rows, Failure)}
        table.schools.replace(known, before_new=registered)
    return [one for one in found.values() if isinstance(one, Failure)]


def _written(objects: Objects, district_id: str) -> "pa.Table | None":
    """Write a district's file, and give its rows: no rows, if it is forgotten; None: the ledger knows nothing of it."""
    table = school_table(district_id, read_coverage(objects, district_id).coverage)
    if read_forgotten(objects, district_id).tombstone is not None:
        return table.slice(0, 0)
    if not table.num_rows:
        return None

    def next_data(data: bytes | None) -> bytes | None:
        return None if data is not None and _holds(data, table) else _bytes(table)

    objects.update(layout.schools_path(district_id), next_data)
    return table


def _holds(data: bytes, table: "pa.Table") -> bool:
    """Whether a file holds exactly these rows. Bytes are not compared: another pyarrow version writes other ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not read_table(): the threads of its scanner may release Python's bytes after the interpreter has ended, which
        # aborts the process.
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

    kinds = {"date": pa.date32()}
    return pa.schema(
        [
            pa.field(one.name, kinds.get(one.kind, pa.string()), not one.required, {"comment": one.meaning})
            for one in SCHOOL_COLUMNS
        ]
    )
