"""Who is denied is told from everybody else by keyed hashes alone."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.lake.forgotten import Denied, Forgotten, Key, Request, key_of, with_request

KEY = Key("a made-up key that is long enough to be one", "district")
IDS = st.text(string.hexdigits.lower(), min_size=24, max_size=24)
TEXTS = st.text(max_size=40)


def denied(*students: str, entries: tuple[str, ...] = ()) -> Denied:
    return Denied(KEY, frozenset(map(KEY.student, students)), frozenset(entries))


@given(IDS, IDS)
def test_a_student_is_denied_and_another_one_is_not(wanted: str, other: str) -> None:
    assert denied(wanted).is_student(wanted)
    assert denied(wanted).is_student(other) is (wanted == other)
    assert wanted not in repr(denied(wanted)) + repr(denied(wanted).students)


@given(IDS, TEXTS, st.sampled_from(["", " ", '"', "-", "_", "/", "é"]))
def test_an_id_is_found_beside_whatever_parts_it_from_the_rest(wanted: str, rest: str, between: str) -> None:
    text = f"{rest} {between}{wanted}{between} {rest}"
    assert denied(wanted).mentions(text)
    assert wanted not in denied(wanted).redacted(text)


@given(IDS, st.dictionaries(TEXTS, TEXTS | st.integers() | IDS))
def test_a_text_that_mentions_nobody_stays_as_it_is(wanted: str, document: dict[str, object]) -> None:
    text = json.dumps(document)
    assert wanted in text or denied(wanted).redacted(text) == text


@given(IDS, IDS, st.sampled_from(["student", "x", "0", "Z9"]))
def test_an_id_is_found_between_other_letters(wanted: str, second: str, between: str) -> None:
    text = f"{between}{wanted}{between}{second}{between}"
    assert wanted not in denied(wanted, second).redacted(text)
    assert wanted not in denied(wanted).redacted(text)


@pytest.mark.parametrize("times", [1, 2, 3])
@given(IDS, st.sampled_from("\n\t\r\b\f\x01é"))
def test_no_escape_of_json_hides_an_id(times: int, wanted: str, before: str) -> None:
    text: object = {"note": f"siblings:{before}{wanted}{before}", wanted: 17}
    for _ in range(times):
        text = json.dumps(text)
    assert denied(wanted).mentions(str(text))
    shown = denied(wanted).redacted_json(str(text))
    assert wanted not in shown
    assert json.loads(shown) != json.loads(str(text))


def test_an_id_that_is_spelled_with_escapes_is_found_also_in_a_text_that_was_cut_off() -> None:
    wanted = "66aabbccddeeff0011223344"
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in wanted)
    assert denied(wanted).mentions(f'{{"who": "{spelled}')
    assert denied(wanted).redacted_json(f'{{"who": "{spelled}", "other": 1}}') == '{"other":1,"who":"forgotten"}'


def test_what_replaces_a_number_leaves_json() -> None:
    assert denied("123").redacted_json('{"a":123,"b":[123,4.5,true,null]}') == (
        '{"a":"forgotten","b":["forgotten",4.5,true,null]}'
    )


def test_a_row_without_a_student_is_told_by_its_entry_in_its_own_school() -> None:
    found = denied("a", entries=(KEY.entry("school", "17"),))

    def is_rejected(**row: object) -> bool:
        return found.is_rejected(row, json.dumps(row))

    assert is_rejected(school_id="school", sis_id="17")
    assert is_rejected(school_id="school", sis_id=17, student_id=None)
    assert not is_rejected(school_id="another", sis_id="17")
    assert not is_rejected(school_id="school", sis_id="17", student_id="b")
    assert not is_rejected(school_id="school", sis_id="18")


def test_the_hashes_of_two_districts_and_of_two_keys_differ() -> None:
    others = (Key("a made-up key that is long enough to be one", "another"), Key("x" * 40, "district"))
    assert len({KEY.student("a"), *(key.student("a") for key in others)}) == 3


def test_a_short_secret_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEVER_FORGET_SECRET", "short")
    with pytest.raises(CleverSettingsError, match="openssl"):
        key_of(None, "district")
    monkeypatch.setenv("CLEVER_FORGET_SECRET", " ")
    assert key_of(None, "district") is None
    assert key_of("y" * 40, "district") is not None


def test_the_same_request_again_keeps_what_is_known_of_it() -> None:
    first = Request(kind="students", asked_at="1", final_after="2", students={"a": ("entry",)})
    again = Request(kind="students", asked_at="3", final_after="4", students={"a": ()})
    once = with_request(Forgotten(district_id="district"), "id", first, KEY)
    assert with_request(once, "id", again, KEY) == once
    with pytest.raises(CleverSettingsError, match="another one"):
        with_request(once, "other", again, Key("x" * 40, "district"))
