"""What a tool that keeps the variables of a failure's frames would see of students: nothing."""

from __future__ import annotations

import errno
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.asking import ask

DAYS: dict[str, Any] = {"first_day": date(2026, 11, 16), "last_day": date(2026, 11, 20)}


def seen_in_frames(error: BaseException, words: set[str]) -> set[tuple[str, str, str]]:
    """Each variable of a frame of ours whose ``repr`` holds one of the words: where, in which function, its name."""
    found: set[tuple[str, str, str]] = set()
    todo: list[BaseException | None] = [error]
    known: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in known:
            continue
        known.add(id(one))
        todo += [one.__cause__, one.__context__]
        step = one.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            if f"{os.sep}airflow_provider_clever{os.sep}" in code.co_filename:
                for name, value in list(step.tb_frame.f_locals.items()):
                    shown = repr(value)
                    if any(word in shown for word in words):
                        found.add((f"{Path(code.co_filename).name}:{step.tb_lineno}", code.co_qualname, name))
            step = step.tb_next
    return found


def private(sandbox: Sandbox) -> set[str]:
    rows = sandbox.expected("small", date_range_start="2026-11-16", date_range_end="2026-11-20")
    return {row["student_id"] for row in rows} | {row["sis_id"] for row in rows if row.get("sis_id")}


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("what", ["new", "corrections", "marks"])
def test_a_store_that_is_full_shows_no_student(
    sandbox: Sandbox, tmp_path: Path, mocker: MockerFixture, what: str, file_format: str
) -> None:
    if what != "new":
        ask(sandbox, tmp_path, file_format=file_format, **DAYS)
        if what == "marks":
            sandbox.delete_rows(
                *sandbox.expected("small", date_range_start="2026-11-18", date_range_end="2026-11-18")[:3]
            )
        else:
            sandbox.sync("small", edits=40, late_rows=5)
    real = os.replace
    mocker.patch("os.replace", side_effect=lambda a, b: full() if "school-" in str(b) else real(a, b))
    mocker.patch("os.rename", side_effect=full)
    words = private(sandbox)
    try:
        problem = ask(sandbox, tmp_path, file_format=file_format, work="again", write_changes=True, **DAYS).problem
    except CleverError as error:
        problem = error
    assert problem is not None
    assert seen_in_frames(problem, words) == set()


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("what", ["cut", "empty"])
def test_a_damaged_partition_shows_no_student(sandbox: Sandbox, tmp_path: Path, what: str, file_format: str) -> None:
    ask(sandbox, tmp_path, file_format=file_format, **DAYS)
    sandbox.sync("small", edits=40, late_rows=5)
    words = private(sandbox)
    for file in tmp_path.glob("attendance/**/school-*"):
        file.write_bytes(b"" if what == "empty" else file.read_bytes()[:-20])
    problem = ask(sandbox, tmp_path, file_format=file_format, work="again", **DAYS).problem
    assert problem is not None
    assert seen_in_frames(problem, words) == set()


@pytest.mark.parametrize("fault", ["401", "404", "truncated_json", "error_200", "reset_mid_body"])
def test_a_pull_that_breaks_off_shows_no_student(sandbox: Sandbox, tmp_path: Path, fault: str) -> None:
    sandbox.fault(fault, family="attendance", nth=3, times=0)
    try:
        problem = ask(sandbox, tmp_path, work="again", **DAYS).problem
    except CleverError as error:
        problem = error
    assert problem is not None
    assert seen_in_frames(problem, private(sandbox)) == set()
