"""A day in Arrow is settled, hashed and written as the same day in plain columns."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.attendance import batches, merge
from airflow_provider_clever.attendance import content as row_batches
from airflow_provider_clever.attendance import keys as rows
from airflow_provider_clever.attendance.batches import BATCH_COLUMNS, as_columns
from airflow_provider_clever.attendance.rows import Columns, Rows
from airflow_provider_clever.lake.formats import FORMATS
from tests.lake.builders import NASTY, landed, pulled, row
from tests.unit.attendance import plainly

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXTS = [
    *("ILL", "😀 emoji", "\u202eright to left\u202c", "% %s %% %(a)s", "{} {0} {{", "\u2028", "\x7f", "null", " ", "é"),
    *("O'Brien; sick", "a\x1eb", "\x1f", "\ufffd", "\u0085", "/", ",", "e\u0301"),
]
"""Text of every kind that a batch may hold (attendance/batches.py)."""

LETTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\')
MOMENTS = ["2000-01-01T00:00:00.000000Z", "2026-04-02T01:02:03.456000Z", "2999-12-31T23:59:59.999000Z"]
OTHER_ROWS = [
    row(f"other {number}", section_id=None, excuse_code="é" * number or None, sis_id=None) for number in range(9)
]

some_examples = settings(max_examples=50)


def drawn_rows() -> st.SearchStrategy[dict[str, Any]]:
    text = st.none() | st.sampled_from(TEXTS)
    return st.builds(
        row,
        st.sampled_from(["a", "ab", "b", "B", "-", "_", "0", "x" * 64]),
        attendance_type=st.sampled_from(["daily", "section"]),
        section_id=st.sampled_from([None, "s", "s1", "S"]),
        attendance_status=st.sampled_from(["absent", "present", *TEXTS]),
        excuse_code=text | st.text(LETTERS, min_size=1, max_size=2),
        sis_id=text,
        created=st.none() | st.sampled_from(MOMENTS),
        last_modified=st.none() | st.sampled_from(MOMENTS),
    )


def key(one: dict[str, Any]) -> tuple[str, ...]:
    return (one["student_id"], one["attendance_type"], one["section_id"] or "")


def lists_of_rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows in any order, in the order of their keys, and in that order without a key that comes twice."""
    some = st.lists(drawn_rows(), min_size=1, max_size=5)
    return st.one_of(
        some,
        some.map(lambda found: sorted(found, key=key)),
        some.map(lambda found: [one for _, one in sorted({key(one): one for one in found}.items())]),
    )


def batch_of(found: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    columns = pulled(found)
    return pa.record_batch([pa.array(columns[name], pa.string()) for name in BATCH_COLUMNS], names=list(BATCH_COLUMNS))


@st.composite
def days(draw: st.DrawFn) -> pa.RecordBatch:
    """A day's batch: whole, cut out of a page, or joined of several pages' parts."""
    found = draw(lists_of_rows())
    cuts = sorted(draw(st.sets(st.integers(1, len(found)), max_size=3)) - {len(found)})
    pieces = [found[start:end] for start, end in zip([0, *cuts], [*cuts, len(found)], strict=True)]
    parts: list[Rows] = []
    for piece in pieces:
        before, after = draw(st.sampled_from([0, 1, 9])), draw(st.sampled_from([0, 1, 9]))
        page = batch_of([*OTHER_ROWS[:before], *piece, *OTHER_ROWS[:after]])
        parts.append(batches.part(page, before, before + len(piece)))
    whole = batches.joined(parts)
    assert isinstance(whole, pa.RecordBatch)
    assert as_columns(whole) == pulled(found)
    return whole


@some_examples
@given(days())
def test_a_day_is_settled_exactly_if_preparing_it_would_change_nothing(batch: pa.RecordBatch) -> None:
    columns = as_columns(batch)
    prepared = merge.prepare(columns)
    changes_nothing = (prepared.columns, prepared.conflicts, prepared.duplicates) == (columns, [], 0)
    has_nameless_section = ("section", None) in zip(columns["attendance_type"], columns["section_id"], strict=True)
    assert row_batches.is_settled(batch) == (changes_nothing and not has_nameless_section)


def the_same_bytes(batch: pa.RecordBatch, plain: Columns) -> None:
    """A file of a batch is that of the same rows from plain columns, and holds them."""
    for name, file_format in FORMATS.items():
        data = file_format.write(batch, "the hash")
        assert data == file_format.write(batches.as_batch(plain), "the hash")
        assert file_format.read(data).columns == plain
        assert name != "jsonl" or gzip.decompress(data) == plainly.json_lines(plain)


@some_examples
@given(days())
def test_a_day_has_the_hash_and_the_bytes_of_its_plain_columns(batch: pa.RecordBatch) -> None:
    plain = rows.with_marks(as_columns(batch))
    assert row_batches.content_hash(batch) == plainly.content_hash(plain)
    assert row_batches.content_hash(batches.as_batch(plain)) == plainly.content_hash(plain)
    the_same_bytes(batch, plain)


@some_examples
@given(
    st.lists(
        st.builds(
            row,
            st.text("09azAZ_-", min_size=1, max_size=9),
            attendance_type=st.sampled_from(["daily", "homeroom", '"quoted"']),
            excuse_code=st.none() | st.sampled_from([*TEXTS, *NASTY]),
            sis_id=st.none() | st.sampled_from(NASTY),
            school_id=st.sampled_from(["s", "t"]),
            created=st.none() | st.sampled_from(MOMENTS),
            missing_since=st.none() | st.sampled_from(MOMENTS),
            _extra=st.none() | st.sampled_from(['{"a":"é"}', '{"a\\"":1}']),
        ),
        max_size=5,
    )
)
def test_rows_of_any_kind_have_the_hash_and_the_lines_that_they_had_before_there_was_arrow(
    found: list[dict[str, Any]],
) -> None:
    plain = landed(found)
    assert row_batches.content_hash(batches.as_batch(plain)) == plainly.content_hash(plain)
    assert gzip.decompress(FORMATS["jsonl"].write(batches.as_batch(plain), "h")) == plainly.json_lines(plain)
    for file_format in FORMATS.values():
        assert file_format.read(file_format.write(batches.as_batch(plain), "h")).columns == plain


@pytest.mark.parametrize("field", ["attendance_status", "excuse_code", "sis_id"])
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_every_text_is_written_alike_in_both_formats(field: str, text: str) -> None:
    for found in ([row("a", **{field: text})], [row("a", **{field: text}), row("b"), row("c", **{field: text + "x"})]):
        the_same_bytes(batch_of(found), landed(found))


@pytest.mark.parametrize("count", [1, 1_000, 3_000])
def test_a_day_of_many_rows_out_of_several_pages_is_written_alike(count: int) -> None:
    chance = random.Random(count)
    found = [
        row(
            f"{number:024x}",
            attendance_type="section",
            section_id=f"{chance.getrandbits(96):024x}",
            attendance_status=chance.choice(["present", "absent", "tardy", "sick"]),
            excuse_code=chance.choice([None, "ILL", "é", "100 %"]),
            sis_id=f"A-{chance.getrandbits(40)}",
            last_modified=chance.choice([None, f"2026-04-02T01:02:03.{number % 1000:03}000Z"]),
        )
        for number in range(count)
    ]
    pages = [batch_of([row("zz"), *found[start : start + 700]]) for start in range(0, count, 700)]
    whole = batches.joined([batches.part(page, 1, batches.length(page)) for page in pages])
    assert isinstance(whole, pa.RecordBatch)
    assert row_batches.is_settled(whole)
    assert row_batches.content_hash(whole) == plainly.content_hash(landed(found))
    the_same_bytes(whole, landed(found))


@some_examples
@given(st.data(), lists_of_rows(), st.lists(st.booleans(), max_size=4))
def test_parts_in_both_forms_join_to_the_same_rows(
    data: st.DataObject, found: list[dict[str, Any]], as_batches: list[bool]
) -> None:
    parts: list[Rows] = [batch_of(found) if as_batch else pulled(found) for as_batch in as_batches]
    whole = batches.joined(parts)
    assert as_columns(whole) == pulled(found * len(parts))
    assert isinstance(whole, dict) == (not all(as_batches) or not as_batches)
    if count := batches.length(whole):
        place = data.draw(st.integers(-count, count - 1))
        assert batches.value(whole, "excuse_code", place) == as_columns(whole)["excuse_code"][place]
        texts = {*as_columns(whole)["sis_id"]}
        assert all(batches.has_only(whole, "sis_id", text) == (texts == {text}) for text in ("x", *filter(None, texts)))
