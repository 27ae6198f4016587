"""A partition's rows as bytes and back: Parquet or JSON lines, the same rows giving the same bytes.

Both hold the same columns in the same order. Neither repeats a column that stands in the path, and neither depends on
the rows for its schema: a column without a single value keeps its type.
"""

import gzip
import zlib
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pydantic_core import from_json

from airflow_provider_clever.attendance import content as row_batches
from airflow_provider_clever.attendance.batches import as_batch, as_columns, length
from airflow_provider_clever.attendance.rows import Columns
from airflow_provider_clever.attendance.schema import COLUMNS, LANDED_COLUMNS, SCHEMA_VERSION, names, version_of
from airflow_provider_clever.attendance.upgrade import upgrade
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage.compressed import gzipped

if TYPE_CHECKING:
    import pyarrow as pa

_HASH_MARK: Final = b"clever.content_hash"
_VERSION_MARK: Final = b"clever.schema_version"
_DICTIONARY: Final = list(names(lambda column: column.repeats != "hardly"))
"""Columns whose values repeat within a school day; where they hardly do, or side by side, zstd makes them as small."""
_COMPRESSION: Final = {column.name: "none" if column.repeats == "much" else "zstd" for column in COLUMNS}
"""Where a dictionary leaves next to nothing, zstd takes time and saves 1 % of a file."""
_NEVER_NULL: Final = frozenset(names(lambda column: column.required))
_TEXT_OR_NULL: Final = frozenset({str, type(None)})
_TIMESTAMP_LENGTH: Final = len("YYYY-MM-DDTHH:MM:SS.ffffff")


class DamagedPartitionError(ValueError):
    """These bytes are not a partition that we wrote. The message quotes none of them."""


class NewerPartitionError(DamagedPartitionError):
    """A newer version of this package wrote the partition: nothing is wrong with it, but it cannot be read here."""


class Landed(NamedTuple):
    """What stands in a partition.

    :param columns: the rows, in today's columns.
    :param schema_version: the one that they were landed under.
    :param content_hash: of the rows as they stand there.
    :param marked_hash: the content hash that was written with the rows; None: this format has no place for it.
    """

    columns: Columns
    schema_version: int
    content_hash: str
    marked_hash: str | None

    def __repr__(self) -> str:
        return f"Landed({length(self.columns)} rows, schema_version={self.schema_version})"


class Mark(NamedTuple):
    """What can be said of a partition at the lowest cost.

    :param content_hash: of its rows, as their writer said it.
    :param rows: how many there are.
    """

    content_hash: str
    rows: int


class Format(Protocol):
    """How rows become bytes."""

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:
        """The rows, sorted by key, as bytes (row_batches.py)."""
        ...

    def read(self, data: bytes) -> Landed:
        """The rows that :meth:`write` was given.

        :raises DamagedPartitionError: if these bytes are none of ours, or not all of them.
        """
        ...

    def read_mark(self, data: bytes) -> Mark:
        """The content hash of the rows and their number, at the lowest cost.

        :raises DamagedPartitionError: as :meth:`read`.
        """
        ...


class Parquet:
    """One row group with one fixed schema, zstd, statistics, and our marks in the file's own metadata."""

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:
        """The rows as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _arrow_schema(SCHEMA_VERSION).with_metadata(
            {_VERSION_MARK: str(SCHEMA_VERSION).encode(), _HASH_MARK: content_hash.encode()}
        )
        arrays = row_batches.file_columns(landed, schema)
        sink = pa.BufferOutputStream()
        # Dictionaries pay where values repeat.
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=schema),
            sink,
            compression=_COMPRESSION,
            use_dictionary=_DICTIONARY,
            write_statistics=True,
            write_page_checksum=True,
            row_group_size=length(landed) or 1,
        )
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def read(self, data: bytes) -> Landed:
        """The rows of a Parquet file of ours."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
                version, marked_hash = _marks(file.schema_arrow.metadata)
                if not file.schema_arrow.equals(_arrow_schema(version), check_metadata=False):
                    raise DamagedPartitionError("its columns are not those of a partition")
                table = file.read(use_threads=False)
            arrays = [_texts(table.column(name).combine_chunks()) for name in table.column_names]
            batch = pa.record_batch(arrays, names=table.column_names)
            return _landed(as_columns(batch), batch, version, marked_hash)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedPartitionError(f"not a whole Parquet file ({type(error).__name__})") from None

    def read_mark(self, data: bytes) -> Mark:
        """The mark that was written with the rows, and their number; only the file's footer is read.

        A file that is rewritten with pyarrow keeps our mark, so the number must be compared too.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            footer = pq.read_metadata(pa.BufferReader(data))
            count = sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
            if count != footer.num_rows:
                raise DamagedPartitionError("its footer contradicts itself")
            return Mark(_marks(footer.metadata)[1], count)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedPartitionError(f"not a whole Parquet file ({type(error).__name__})") from None


class JsonLines:
    """One object a line with the columns as keys in a fixed order, nulls written, gzipped."""

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:  # noqa: ARG002 - the rows themselves tell the hash
        """The rows as gzipped JSON lines."""
        return gzipped(row_batches.json_lines(landed), _LEVEL)

    def read(self, data: bytes) -> Landed:
        """The rows of gzipped JSON lines of ours."""
        try:
            text = gzip.decompress(data)
            # No JSON text holds a raw line break, so lines become one list by putting commas between them.
            found = from_json(b"[" + text[:-1].replace(b"\n", b",") + b"]")
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise DamagedPartitionError(f"not whole gzipped JSON lines ({type(error).__name__})") from None
        if not text.endswith(b"\n") and (text or not data):  # gzip takes no bytes at all for an empty file
            raise DamagedPartitionError("it is cut short")
        found_names = tuple(found[0]) if found and isinstance(found[0], dict) else LANDED_COLUMNS
        if not all(isinstance(row, dict) and tuple(row) == found_names for row in found):
            raise DamagedPartitionError("its lines do not have the same columns")
        columns = {name: [row[name] for row in found] for name in found_names}
        if not all(set(map(type, values)) <= _TEXT_OR_NULL for values in columns.values()):
            raise DamagedPartitionError("a value of it is no text")
        return _landed(columns, as_batch(columns), _version_with(found_names), None)

    def read_mark(self, data: bytes) -> Mark:
        """Computed from the rows: JSON lines have no place for a mark."""
        landed = self.read(data)
        return Mark(landed.content_hash, length(landed.columns))


FORMATS: Final[dict[str, Format]] = {"parquet": Parquet(), "jsonl": JsonLines()}
"""The formats by the name that users give them."""

_LEVEL: Final = 3
"""Of gzip: half the time of level 6 for a fifth more bytes."""


def require_libraries() -> None:
    """Make sure that anything can be landed here: a row is an Arrow row until it is a file, in both formats.

    :raises CleverSettingsError: if a library is missing; the message says how to install it.
    """
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ImportError:
        msg = "a destination needs pyarrow, which is not installed. Run: pip install 'airflow-provider-clever[parquet]'"
        raise CleverSettingsError(msg) from None


def _marks(marks: dict[bytes, bytes] | None) -> tuple[int, str]:
    version, content_hash = ((marks or {}).get(name, b"") for name in (_VERSION_MARK, _HASH_MARK))
    if not version.isdigit():
        raise DamagedPartitionError("it does not carry our mark, so something else wrote it")
    if int(version) > SCHEMA_VERSION:
        msg = (
            f"a newer version of airflow-provider-clever wrote it (schema {int(version)}, known here: {SCHEMA_VERSION})"
        )
        raise NewerPartitionError(msg)
    return int(version), content_hash.decode()


def _version_with(found: tuple[str, ...]) -> int:
    """The schema version whose columns these are: JSON lines carry no other mark of it."""
    version = version_of(found)
    if version is not None:
        return version
    if set(found) > set(LANDED_COLUMNS):
        raise NewerPartitionError("a newer version of airflow-provider-clever wrote it: it has more columns")
    raise DamagedPartitionError("its columns are not those of a partition")


def _landed(columns: Columns, batch: "pa.RecordBatch", version: int, marked_hash: str | None) -> Landed:
    """What was read, if every row of it can be merged into.

    :raises DamagedPartitionError: a value is null that never is.
    """
    for name in _NEVER_NULL:
        if batch[name].null_count:
            raise DamagedPartitionError(f"{name} is null")
    return Landed(upgrade(columns, version), version, row_batches.content_hash(batch), marked_hash)


@cache
def _arrow_schema(version: int) -> "pa.Schema":
    import pyarrow as pa

    special = {"date": pa.date32(), "timestamp": pa.timestamp("us", "UTC")}
    return pa.schema(
        [(column.name, special.get(column.kind, pa.string())) for column in COLUMNS if column.since <= version]
    )


def _texts(array: "pa.Array") -> "pa.StringArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(array.type):
        # Without its zone the cast is twenty times as fast; every one of ours is UTC.
        array = pc.utf8_replace_slice(array.cast(pa.timestamp("us")).cast(pa.string()), 10, 11, "T")
        array = pc.utf8_replace_slice(array, _TIMESTAMP_LENGTH, _TIMESTAMP_LENGTH, "Z")
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.string())
    return array
