"""A curve that grows faster than its size is named."""

from pathlib import Path

import pytest

from tests.benchmarks.growth import SHARES, Curve, Work, measured, table, too_steep


@pytest.mark.parametrize(("power", "problems"), [(0, 0), (1, 0), (2, 2)])
def test_what_grows_faster_than_its_size_is_named(tmp_path: Path, power: int, problems: int) -> None:
    def prepare(size: int, _: Path) -> Work:
        return lambda: (size**power, 2048 * size**power)

    curve = Curve("counting", "things", 1000, prepare)
    found = [(curve, list(measured(curve, SHARES, tmp_path)))]
    assert len(too_steep(found)) == problems  # calls and bytes
    assert f"| counting | 1,000 things | 0.00 | {1000**power:,} |" in table(found)
