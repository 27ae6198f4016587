"""What is published can be built again, to the byte, and is well-formed."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from tests.wheel.environments import DIST, PROJECTS, Wheels, build, tool


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_what_is_rebuilt_from_the_sdists_is_equal_to_the_byte(wheels: Wheels, tmp_path: Path) -> None:
    rebuilt = tmp_path / "rebuilt"
    for sdist in DIST.glob("*.tar.gz"):
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path, filter="data")
        build(tmp_path / sdist.name.removesuffix(".tar.gz"), rebuilt)
    assert len(digests(DIST)) == 4
    assert digests(rebuilt) == digests(DIST)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_a_wheel_built_from_the_checkout_itself_is_the_same(wheels: Wheels, project: Path, tmp_path: Path) -> None:
    build(project, tmp_path, "--wheel")
    (wheel,) = tmp_path.iterdir()
    assert wheel.read_bytes() == (DIST / wheel.name).read_bytes()


def test_the_packaging_tools_find_nothing_to_complain_of(wheels: Wheels) -> None:
    tool("twine", "check", "--strict", *map(str, DIST.iterdir()))
    tool("check-wheel-contents", *map(str, DIST.glob("*.whl")))
    tool("validate-pyproject", *(str(project / "pyproject.toml") for project in PROJECTS))
