"""Rows that cannot land are set aside many at a time, each once, and a flood of them not whole."""

import json
from collections.abc import Mapping, Sequence

import pytest

from airflow_provider_clever.api.pages import AttendancePage, decode_page
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverDataError, CleverLandingError
from airflow_provider_clever.pull.rejected import ALWAYS_KEPT, RejectedRows
from tests.unit.api.drawn import row


class Quarantine:
    """Counts what it is given; refuses what holds rows of some schools."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.calls: list[dict[str, int]] = []

    def __call__(self, found: Mapping[str, Sequence[RejectedRow]]) -> None:
        if self.refused & found.keys():
            raise CleverLandingError("damaged")
        self.calls.append({scope_id: len(rows) for scope_id, rows in found.items()})

    def kept(self, scope_id: str) -> int:
        return sum(call.get(scope_id, 0) for call in self.calls)


def page(good: int, bad: int) -> AttendancePage:
    """A page of so many good rows, and so many without a student."""
    rows = [row(student_id=f"s{number}") for number in range(good)]
    return decode_page(json.dumps({"data": [*rows, *[row(student_id=...)] * bad]}).encode())


def test_rows_of_several_pages_and_schools_are_set_aside_together():
    quarantine = Quarantine()
    rows = RejectedRows(quarantine)
    for scope_id in ("a", "b", "a"):
        rows.take(scope_id, page(5, 1))
    assert quarantine.calls == []
    rows.hand_over()
    rows.hand_over()
    assert quarantine.calls == [{"a": 2, "b": 1}]
    assert rows.errors() == {}


def test_no_more_rows_are_held_than_fit():
    quarantine = Quarantine()
    rows = RejectedRows(quarantine, most_held=10)
    for _ in range(25):
        rows.take("a", page(5, 1))
    assert quarantine.calls == [{"a": 10}, {"a": 10}]


def test_only_the_school_whose_rows_cannot_be_kept_is_named():
    quarantine = Quarantine("b")
    rows = RejectedRows(quarantine)
    for scope_id in "abc":
        rows.take(scope_id, page(5, 1))
    rows.hand_over()
    assert quarantine.calls == [{"a": 1}, {"c": 1}]
    assert {scope_id: str(error) for scope_id, error in rows.errors().items()} == {"b": "damaged"}


def test_of_a_school_of_which_most_rows_cannot_land_the_first_are_kept_and_the_reasons_told():
    quarantine = Quarantine()
    rows = RejectedRows(quarantine)
    for _ in range(5):
        rows.take("flooded", page(100, 500))
        rows.take("healthy", page(500, 500))
    rows.hand_over()
    assert quarantine.kept("flooded") == ALWAYS_KEPT
    assert quarantine.kept("healthy") == 2500
    ((scope_id, error),) = rows.errors().items()
    assert (scope_id, isinstance(error, CleverDataError), error.permanent) == ("flooded", True, True)
    assert "2,500 of 3,000 rows of flooded cannot land; the first reasons are: student_id is missing." in str(error)
    assert "1,000 of these are in the quarantine folder" in str(error)


@pytest.mark.parametrize(("good", "bad"), [(500, 500), (1, 999)])
def test_half_of_the_rows_and_a_few_rows_are_no_flood(good: int, bad: int):
    quarantine = Quarantine()
    rows = RejectedRows(quarantine)
    rows.take("a", page(good, bad))
    rows.hand_over()
    assert (quarantine.kept("a"), rows.errors()) == (bad, {})


def test_rows_that_do_not_land_are_all_counted():
    quarantine = Quarantine()
    rows = RejectedRows(quarantine)
    rows.are_landed = False
    for _ in range(5):
        rows.take("a", page(0, 500))
    rows.hand_over()
    assert (quarantine.kept("a"), rows.errors()) == (2500, {})
