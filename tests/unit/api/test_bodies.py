"""Bytes to JSON: broken letters are mended and counted, everything else that is not JSON is an error."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.api.bodies import BodyReader, BrokenBodyError, UnreadableBodyError, page_object, read_json
from airflow_provider_clever.attendance.values import canonical_json
from airflow_provider_clever.exceptions import CleverProtocolError


def test_lone_surrogates_become_replacement_letters_and_are_counted() -> None:
    body = rb'{"data":[{"code":"half \ud83d","\udc00":["\ud83d\ude00","\ud83d",1,null]}]}'
    value, replaced = read_json(body)
    assert value == {"data": [{"code": "half \ufffd", "\ufffd": ["\U0001f600", "\ufffd", 1, None]}]}
    assert replaced == 3


def test_bytes_that_are_not_utf_8_are_mended_too() -> None:
    assert read_json(b'{"code":"caf\xe9"}') == ({"code": "caf\ufffd"}, 1)


def test_a_byte_order_mark_is_no_reason_to_lose_a_page() -> None:
    assert read_json(b'\xef\xbb\xbf{"data":[]}') == ({"data": []}, 0)


@pytest.mark.parametrize(
    "body", [b"", b"  \n", b"<html>", b'{"a":', b'{"a":NaN}', b"[" * 200_000, b'{"a":1}x', b"\xff"]
)
def test_what_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        read_json(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_every_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == (value, 0)
    assert json.loads(canonical_json(value)) == value


HUGE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["1", "9.5", "123", "0.001", "9" * 250, "9" * 309, "1" + "0" * 400 + ".5"]),
    st.sampled_from(["e309", "E+400", "e0400", "e99999", "e99", "e9", "E307", "e+12", "e-400", "e5", ""]),
)


@given(st.lists(HUGE, min_size=1), st.sampled_from(["[{}]", '[{}, "65e000000000000000000001"]', "[[ {} ]]"]))
def test_a_number_that_no_float_can_hold_becomes_text_whatever_its_spelling(numbers: list[str], shape: str) -> None:
    body = shape.format(" , ".join(numbers)).encode()
    found, _ = read_json(body)

    def plainly(item: object) -> object:
        if isinstance(item, list):
            return [plainly(one) for one in item]
        is_infinite = isinstance(item, float) and item in (float("inf"), -float("inf"))
        return json.dumps(item) if is_infinite else item

    assert found == plainly(json.loads(body))
    assert json.loads(canonical_json(found), parse_constant=pytest.fail) == found


def test_json_is_never_written_with_what_is_none() -> None:
    for value in (float("inf"), float("nan"), {"a": [-float("inf")]}):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical_json(value)


@pytest.mark.parametrize("value", [{"data": None}, {"data": []}, {"links": None}, {"data": [], "links": []}])
def test_an_empty_page_may_look_in_many_ways(value: dict[str, object]) -> None:
    assert page_object(value) is value


@pytest.mark.parametrize(
    "value", [{}, [], None, "", {"data": ""}, {"data": {}}, {"data": 0}, {"data": [], "links": {}}]
)
def test_another_shape_is_never_an_empty_page(value: object) -> None:
    with pytest.raises(CleverProtocolError):
        page_object(value)


def test_gzip_of_several_members_is_read_to_its_end() -> None:
    reader = BodyReader("gzip")
    for piece in (gzip.compress(b'{"data":') + gzip.compress(b"[]"), gzip.compress(b"}")):
        reader.add(piece)
    assert reader.finish() == b'{"data":[]}'
    assert repr(reader) == "BodyReader(11 bytes)"


def test_gzip_that_is_cut_short_is_no_answer() -> None:
    reader = BodyReader("gzip")
    reader.add(gzip.compress(b'{"data":[]}')[:-9])
    with pytest.raises(BrokenBodyError):
        reader.finish()


def test_an_encoding_that_nobody_asked_for_is_no_answer() -> None:
    with pytest.raises(BrokenBodyError):
        BodyReader("br")
