"""Rows as bytes and back."""

import gzip
import json
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.batches import landed_schema
from airflow_provider_clever.attendance.content import content_hash
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.lake import formats
from airflow_provider_clever.storage.compressed import gzipped, gzipped_json, read_gzipped_json
from tests.lake.builders import NASTY, SYNC, landed, pulled, row, written

BOTH = pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
IDS = st.text("0123456789abcXYZ_-", min_size=1, max_size=12)
INSTANTS = st.datetimes(
    min_value=datetime(1900, 1, 1)  # noqa: DTZ001 - hypothesis wants it bare
).map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")


@BOTH
@settings(max_examples=60)
@given(
    st.lists(
        st.builds(
            row,
            IDS,
            excuse_code=st.none() | TEXT | st.sampled_from(NASTY),
            last_modified=st.none() | INSTANTS,
            missing_since=st.none() | st.just(SYNC),
            _extra=st.none() | st.just('{"a":"é"}'),
        ),
        max_size=8,
    )
)
def test_rows_come_back_as_they_were_written(file_format: str, found: list) -> None:
    columns = landed(found)
    data = written(file_format, columns)
    back = formats.FORMATS[file_format].read(data)
    assert back.rows == columns
    assert back.rows.schema == landed_schema()
    assert formats.FORMATS[file_format].read_mark(data) == (content_hash(columns), len(found))


@BOTH
def test_the_same_rows_give_the_same_bytes(file_format: str) -> None:
    columns = landed([row("a"), row("b", excuse_code="é")])
    longer = landed([row("0"), row("a"), row("b", excuse_code="é"), row("c")])
    assert written(file_format, columns) == written(file_format, longer[1:3])


@BOTH
def test_bytes_that_are_not_a_whole_partition_are_damaged_and_not_quoted(file_format: str) -> None:
    data = written(file_format, landed([row("secret-student")]))
    for bad in (b"", b"secret-student", data[:-1], data[: len(data) // 2], b"PAR1" + data[20:]):
        with pytest.raises(formats.DamagedPartitionError) as caught:
            formats.FORMATS[file_format].read(bad)
        assert "secret" not in str(caught.value)


@BOTH
def test_a_flipped_byte_raises_no_other_error_wherever_it_is(file_format: str) -> None:
    data = written(file_format, landed([row("a", excuse_code="é"), row("b", section_id="s")]))
    damaged = 0
    for position in range(len(data)):
        flipped = data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
        for read in (formats.FORMATS[file_format].read, formats.FORMATS[file_format].read_mark):
            try:
                read(flipped)
            except formats.DamagedPartitionError:
                damaged += 1
    assert damaged > 100


def test_every_parquet_partition_has_one_schema_however_empty_its_columns_are() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = []
    for found in ([row()], [row(excuse_code="x", _extra="{}", missing_since=SYNC)]):
        file = pq.ParquetFile(pa.BufferReader(written("parquet", landed(found))))
        schemas.append(file.schema_arrow.remove_metadata())
        assert file.metadata.row_group(0).column(1).compression == "ZSTD"
        assert file.metadata.row_group(0).column(1).statistics.has_min_max
    assert schemas[0] == schemas[1]
    assert schemas[0].field("attendance_date").type == pa.date32()
    assert schemas[0].field("missing_since").type == pa.timestamp("us", "UTC")
    assert schemas[0].field("_extra").type == pa.string()


def test_a_partition_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(written("parquet", landed([row()]))))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"clever.schema_version": "99"}), sink)
    with pytest.raises(formats.NewerPartitionError, match="newer version"):
        formats.FORMATS["parquet"].read(sink.getvalue().to_pybytes())


def test_a_parquet_file_of_somebody_else_is_not_taken_for_ours() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    with pytest.raises(formats.DamagedPartitionError, match="something else wrote it"):
        formats.FORMATS["parquet"].read_mark(sink.getvalue().to_pybytes())


def test_gzip_headers_hold_no_time_and_no_name() -> None:
    data = written("jsonl", landed([row()]))
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(gzipped(b"x" * 100_000)) == b"x" * 100_000
    assert read_gzipped_json(gzipped_json({"b": 1, "a": "é"})) == {"a": "é", "b": 1}


def test_json_lines_write_every_column_in_order_and_nulls_as_null() -> None:
    text = gzip.decompress(written("jsonl", landed([row("a")]))).decode()
    known, _, marked = text.partition('"last_modified":"2026-04-02T00:00:00.000000Z",')
    assert known == (
        '{"attendance_date":"2026-04-01","student_id":"a","section_id":null,"attendance_type":"daily",'
        '"attendance_status":"present","excuse_code":null,"sis_id":null,"school_id":"555555555555555555555555",'
        '"district_id":"65e000000000000000000001","created":"2026-04-02T00:00:00.000000Z",'
    )
    assert marked.endswith('"missing_since":null,"_extra":null}\n')
    assert tuple(json.loads(text)) == LANDED_COLUMNS


@given(st.lists(st.none() | TEXT | st.just("\x1f"), min_size=2, max_size=5), st.data())
def test_different_rows_have_different_hashes(values: list, data) -> None:
    other = data.draw(st.lists(st.none() | TEXT | st.just("\x1f"), min_size=2, max_size=5))
    first, second = (landed([row(excuse_code=value) for value in some]) for some in (values, other))
    assert (content_hash(first) == content_hash(second)) == (values == other)


def test_a_value_that_holds_the_separator_is_not_two_values() -> None:
    hashes = {
        content_hash(landed([row(excuse_code=first), row(excuse_code=second)]))
        for first, second in (("a\x1fb", "c"), ("a", "b\x1fc"), ("a\x1fb\x1fc", None))
    }
    assert len(hashes) == 3


@pytest.mark.parametrize("value", ["2026-13-01", "yesterday", "2026-04-01T00:00:00"])
def test_a_line_with_a_day_that_is_none_is_damaged(value: str) -> None:
    lines = gzip.decompress(written("jsonl", landed([row("a")]))).replace(b'"2026-04-01"', f'"{value}"'.encode())
    with pytest.raises(formats.DamagedPartitionError, match="none that its column can hold"):
        formats.FORMATS["jsonl"].read(gzipped(lines))


def test_nothing_prints_a_row() -> None:
    columns = landed([row("secret-student")])
    ready = merge.prepare(pulled([row("secret-student")]))
    merged = merge.merge(columns, ready)
    change = merge.Change(None, ("secret-student",))
    read = formats.FORMATS["jsonl"].read(written("jsonl", columns))
    assert "secret" not in "".join(map(repr, (ready, merged, change, read)))
