"""A day is hashed and written as its rows have always been, whatever it was cut out of or joined from."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_clever.attendance import merge
from airflow_provider_clever.attendance.batches import joined, pulled_schema, with_marks
from airflow_provider_clever.attendance.content import content_hash, is_in_key_order
from airflow_provider_clever.attendance.schema import LANDED_COLUMNS
from airflow_provider_clever.lake.formats import FORMATS
from tests.lake.builders import NASTY, landed, listed, pulled, row
from tests.unit.attendance import plainly

TEXTS = [
    *("ILL", "😀 emoji", "\u202eright to left\u202c", "% %s %% %(a)s", "{} {0} {{", "\u2028", "\x7f", "null", " ", "é"),
    *("O'Brien; sick", "a\x1eb", "\x1f", "\ufffd", "\u0085", "/", ",", "e\u0301"),
]
"""Text of every kind."""

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


@st.composite
def days(draw: st.DrawFn) -> pa.RecordBatch:
    """A day's batch: whole, cut out of a page, or joined of several pages' parts."""
    found = draw(lists_of_rows())
    cuts = sorted(draw(st.sets(st.integers(1, len(found)), max_size=3)) - {len(found)})
    pieces = [found[start:end] for start, end in zip([0, *cuts], [*cuts, len(found)], strict=True)]
    parts = []
    for piece in pieces:
        before, after = draw(st.sampled_from([0, 1, 9])), draw(st.sampled_from([0, 1, 9]))
        page = pulled([*OTHER_ROWS[:before], *piece, *OTHER_ROWS[:after]])
        parts.append(page.slice(before, len(piece)))
    whole = joined(parts, pulled_schema())
    assert whole == pulled(found)
    return whole


@some_examples
@given(days())
def test_a_day_is_in_key_order_exactly_if_preparing_it_changes_nothing(batch: pa.RecordBatch) -> None:
    prepared = merge.prepare(batch)
    changes_nothing = (prepared.rows, prepared.conflicts, prepared.duplicates) == (with_marks(batch), [], 0)
    has_nameless_section = any(
        (one["attendance_type"], one["section_id"]) == ("section", None) for one in listed(batch)
    )
    assert is_in_key_order(batch) == (changes_nothing and not has_nameless_section)


def plain(batch: pa.RecordBatch) -> plainly.Columns:
    """Landed rows by column, as text."""
    rows = listed(batch)
    return {name: [one[name] for one in rows] for name in LANDED_COLUMNS}


def is_written_as_ever(batch: pa.RecordBatch) -> None:
    """Landed rows have the hash and the lines that they had before there was Arrow, and come back from a file."""
    assert content_hash(batch) == plainly.content_hash(plain(batch))
    assert gzip.decompress(FORMATS["jsonl"].write(batch, "h")) == plainly.json_lines(plain(batch))
    whole = landed(listed(batch))
    for file_format in FORMATS.values():
        data = file_format.write(batch, "h")
        assert data == file_format.write(whole, "h")
        assert file_format.read(data).rows == batch


@some_examples
@given(days())
def test_a_day_cut_out_of_pages_has_the_hash_and_the_bytes_of_its_rows(batch: pa.RecordBatch) -> None:
    is_written_as_ever(with_marks(batch))


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
    is_written_as_ever(landed(found))


@pytest.mark.parametrize("field", ["attendance_status", "excuse_code", "sis_id"])
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_every_text_is_written_alike_in_both_formats(field: str, text: str) -> None:
    for found in ([row("a", **{field: text})], [row("a", **{field: text}), row("b"), row("c", **{field: text + "x"})]):
        is_written_as_ever(landed(found))


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
    pages = [pulled([row("zz"), *found[start : start + 700]]) for start in range(0, count, 700)]
    whole = joined([page[1:] for page in pages], pulled_schema())
    assert is_in_key_order(whole)
    is_written_as_ever(with_marks(whole))
