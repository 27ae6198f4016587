"""Writes and reads a partition as Parquet or JSON lines; the same rows give the same bytes.

Both have the same columns in the same order. Neither repeats a column that is in the path, and the schema does not
depend on the rows: a column without a value keeps its type.
"""

import gzip
import zlib
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pydantic_core import from_json

from airflow_provider_clever.attendance.batches import batch_of, joined, landed_schema
from airflow_provider_clever.attendance.content import content_hash as hash_of
from airflow_provider_clever.attendance.content import offsets_and_data, split_constant
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


class DamagedPartitionError(ValueError):
    """These bytes are not a partition that we wrote. The message quotes none of them."""


class NewerPartitionError(DamagedPartitionError):
    """A newer version of this package wrote the partition: nothing is wrong with it, but it cannot be read here."""


class Landed(NamedTuple):
    """The content of a partition.

    :param rows: the rows in today's columns.
    :param schema_version: the schema version of the file.
    :param content_hash: the hash of the rows in the file.
    :param marked_hash: the content hash that was written with the rows; None: this format has no place for it.
    """

    rows: "pa.RecordBatch"
    schema_version: int
    content_hash: str
    marked_hash: str | None

    def __repr__(self) -> str:
        return f"Landed({self.rows.num_rows} rows, schema_version={self.schema_version})"


class Mark(NamedTuple):
    """What can be read of a partition at the lowest cost.

    :param content_hash: the hash of its rows, as their writer wrote it.
    :param rows: how many there are.
    """

    content_hash: str
    rows: int


class Format(Protocol):
    """A file format of partitions."""

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:
        """Write rows, sorted by key and in LANDED_COLUMNS, as bytes."""
        ...

    def read(self, data: bytes) -> Landed:
        """Read the rows that :meth:`write` was given.

        :raises DamagedPartitionError: these bytes are not a whole partition of ours.
        """
        ...

    def read_mark(self, data: bytes) -> Mark:
        """Read the content hash of the rows and their number, at the lowest cost.

        :raises DamagedPartitionError: as :meth:`read`.
        """
        ...


class Parquet:
    """One row group with one fixed schema, zstd, statistics, and our marks in the file's own metadata."""

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:
        """Write the rows as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        marks = {_VERSION_MARK: str(SCHEMA_VERSION).encode(), _HASH_MARK: content_hash.encode()}
        sink = pa.BufferOutputStream()
        # Dictionaries pay where values repeat.
        pq.write_table(
            pa.Table.from_batches([landed]).replace_schema_metadata(marks),
            sink,
            compression=_COMPRESSION,
            use_dictionary=_DICTIONARY,
            write_statistics=True,
            write_page_checksum=True,
            row_group_size=landed.num_rows or 1,
        )
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def read(self, data: bytes) -> Landed:
        """Read the rows of a Parquet file of ours."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
                version, marked_hash = _marks(file.schema_arrow.metadata)
                schema = landed_schema(version)
                if not file.schema_arrow.equals(schema, check_metadata=False):
                    raise DamagedPartitionError("its columns are not those of a partition")
                parts = file.read(use_threads=False).cast(schema).to_batches()
            return _landed(joined(parts, schema), version, marked_hash)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedPartitionError(f"not a whole Parquet file ({type(error).__name__})") from None

    def read_mark(self, data: bytes) -> Mark:
        """Read the mark that was written with the rows, and their number, from the file's footer alone.

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

    def write(self, landed: "pa.RecordBatch", content_hash: str) -> bytes:  # noqa: ARG002 - JSON lines have no place for the hash
        """Write the rows as gzipped JSON lines."""
        return gzipped(_json_lines(landed), _LEVEL)

    def read(self, data: bytes) -> Landed:
        """Read the rows of gzipped JSON lines of ours."""
        import pyarrow as pa

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
        rows = [tuple(row.values()) for row in found]
        if not set().union(*(map(type, row) for row in rows)) <= _TEXT_OR_NULL:
            raise DamagedPartitionError("a value of it is no text")
        version = _version_with(found_names)
        try:
            return _landed(batch_of(rows, landed_schema(version)), version, None)
        except pa.ArrowInvalid:
            raise DamagedPartitionError("a value of it is none that its column can hold") from None

    def read_mark(self, data: bytes) -> Mark:
        """Compute the mark from the rows: JSON lines have no place for one."""
        landed = self.read(data)
        return Mark(landed.content_hash, landed.rows.num_rows)


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


def _landed(landed: "pa.RecordBatch", version: int, marked_hash: str | None) -> Landed:
    """Give what was read, if every row can be merged with pulled ones.

    :raises DamagedPartitionError: a value is null that never is.
    """
    for name in _NEVER_NULL:
        if landed[name].null_count:
            raise DamagedPartitionError(f"{name} is null")
    return Landed(upgrade(landed, version), version, hash_of(landed), marked_hash)


# --- lines of JSON ----------------------------------------------------------------------------------------------------


def _json_lines(landed: "pa.RecordBatch") -> bytes:
    """Write the rows as lines of JSON, every column in every line."""
    import pyarrow.compute as pc

    if not landed.num_rows:
        return b""
    constant, rest = split_constant(landed)
    pieces: list[Any] = []
    between = "{"
    for name in LANDED_COLUMNS:
        between += f'"{name}":'
        if name not in rest:
            text = constant.get(name)
            between += "null" if text is None else encode_basestring(text)
        elif rest[name].null_count:
            quoted = pc.binary_join_element_wise('"', _escaped(name, rest[name]), '"', "")
            pieces += [between, pc.fill_null(quoted, "null")]
            between = ""
        else:
            pieces += [f'{between}"', _escaped(name, rest[name])]
            between = '"'
        between += ","
    return offsets_and_data(pc.binary_join_element_wise(*pieces, f"{between[:-1]}}}\n", ""))[1]


_FREE_TEXT: Final = frozenset(names(lambda column: column.kind in ("text", "json")))
"""Columns that may contain characters that JSON escapes; ids, dates and instants never do."""
_ESCAPED: Final = bytes(range(32)) + b'"\\'
"""What JSON escapes in a text."""


def _escaped(name: str, column: "pa.StringArray") -> "pa.StringArray":
    """Escape a column's text for JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    data = offsets_and_data(column)[1] if name in _FREE_TEXT else b""
    if len(data.translate(None, _ESCAPED)) == len(data):
        return column
    words = column.dictionary_encode()
    spelled = [encode_basestring(word)[1:-1] for word in words.dictionary.to_pylist()]
    return pc.take(pa.array(spelled, pa.string()), words.indices)
