"""Checks that each month of monthly Parquet is what its landed partitions make."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.findings import Finding
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.landed_months import MonthName, landed_fingerprint
from airflow_provider_clever.table.month_file import fingerprint_in
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.monthly_parquet import months_folder, parse_month_path

_SIDE_BY_SIDE: Final = 2


def check_months(
    objects: Objects, district_id: str, *, since: date | None = None, has_rows_read: bool = False
) -> Iterator[Finding]:
    """Find the months of monthly Parquet that are not what their landed partitions make.

    It compares fingerprints. The check of partitions finds a partition whose rows are not those that were written.

    :param since: the first day; earlier months are not read. Default: all are.
    :param has_rows_read: compare all rows, too. Default False.
    :raises CleverLandingError: the destination cannot be listed.
    """

    def checked(path: str) -> Finding | None:
        name = parse_month_path(path)
        if name is None:
            return Finding(kind="strange", district_id=district_id, path=path)
        if since is not None and name.month < f"{since:%Y-%m}":
            return None
        return _checked(objects, path, name, has_rows_read=has_rows_read)

    paths = objects.names(months_folder(district_id))
    yield from filter(None, in_order(checked, paths, most=_SIDE_BY_SIDE))


def _checked(objects: Objects, path: str, name: MonthName, *, has_rows_read: bool) -> Finding | None:
    import pyarrow as pa

    def finding(kind: str, words: str) -> Finding:
        return Finding(kind=kind, district_id=name.district_id, path=path, words=words)

    try:
        made_of = fingerprint_in(objects, path)
        if not made_of:
            return finding("damaged", "it does not say what it was made of, so something else wrote it")
        if made_of != landed_fingerprint(objects, name):
            return finding("stale_months", "other files have landed since: bring the table up to date")
        if has_rows_read and not _is_same(objects, path, MonthRows(objects, name)):
            return finding("damaged", "its rows are not those that have landed: make it again")
    except CleverLandingError as error:  # a partition of it
        return finding("stale_months", f"what it is made of cannot be read: {error}")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return finding("damaged", f"not a whole Parquet file ({type(error).__name__})")
    return None


def _is_same(objects: Objects, path: str, month: MonthRows) -> bool:
    """Whether a file has exactly these rows, in this order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = objects.read(path)
    file = pq.ParquetFile(pa.BufferReader(found[0] if found else b""), page_checksum_verification=True)
    groups, left = file.iter_batches(use_threads=False), month.schema.empty_table()
    for rows in month.batches():
        while left.num_rows < rows.num_rows:
            group = next(groups, None)
            if group is None:
                return False
            left = pa.concat_tables([left, pa.Table.from_batches([group]).cast(month.schema)])
        if not left.slice(0, rows.num_rows).equals(pa.Table.from_batches([rows])):
            return False
        left = left.slice(rows.num_rows)
    return not left.num_rows and next(groups, None) is None
