"""Each golden lake in turn, copied: none is ever written to."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.golden.make import FORMATS, LAKES


class Golden(NamedTuple):
    """A copy of a golden lake.

    :param kept: the folder under ``tests/`` that holds the lake in both formats, and what it was when it was made.
    :param lake: the copy, in one format.
    """

    kept: Path
    lake: Path
    file_format: str


EACH = [(lake, file_format) for lake in sorted(LAKES.iterdir()) for file_format in FORMATS]


@pytest.fixture(params=EACH, ids=lambda each: f"{each[0].name}-{each[1]}")
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    """A golden lake in one of its formats."""
    kept, file_format = request.param
    shutil.copytree(kept / file_format, tmp_path / "lake")
    return Golden(kept, tmp_path / "lake", file_format)
