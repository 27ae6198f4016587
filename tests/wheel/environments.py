"""The two wheels, and environments that hold nothing but what one of them brings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PROJECTS: Final = (ROOT, ROOT / "airflow_provider_clever/sandbox")
DIST: Final = ROOT / "dist"
UV: Final = Path(sys.executable).with_name("uv")
AIRFLOW: Final = "apache-airflow==3.3.2"


@dataclass(frozen=True, slots=True)
class Wheels:
    """The wheels that were built."""

    provider: Path
    sandbox: Path

    def provider_with(self, *extras: str) -> str:
        """Give the requirement for the provider's wheel with some extras."""
        return f"airflow-provider-clever[{','.join(extras)}] @ {self.provider.as_uri()}"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment.

    :param path: its folder.
    """

    path: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin/python"

    def run(self, *command: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands where nothing of the checkout is on the path; ``more`` goes into the variables."""
        program = self.path / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.path,
            env=plain_environment() | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-4000:]
        return done

    def installed(self) -> set[str]:
        """Give the names of all that is installed."""
        listed = uv("pip", "list", "--format=freeze", "--python", str(self.python))
        return {line.partition("==")[0].partition(" @ ")[0] for line in listed.splitlines()}


def plain_environment() -> dict[str, str]:
    """Give this process's variables without those that let Python or Airflow see the checkout."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "PYTEST"))
    }


def uv(*arguments: str) -> str:
    """Run uv outside the checkout, whose settings it would read."""
    done = subprocess.run(
        [UV, *arguments], cwd="/", env=plain_environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@contextmanager
def environment(folder: Path, *requirements: str) -> Iterator[Environment]:
    """Make an environment with some requirements, in pinned versions, and remove it in the end."""
    made = Environment(folder / "environment")
    uv("venv", "--quiet", "--python", sys.executable, str(made.path))
    pinned = ("--constraints", str(ROOT / "requirements/wheel.txt"), "--find-links", str(DIST))
    uv("pip", "install", "--quiet", "--python", str(made.python), *pinned, *requirements)
    try:
        yield made
    finally:
        shutil.rmtree(made.path)


def built() -> Wheels:
    """Build sdists and wheels of both projects into ``dist/``; each wheel comes from its sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    for project in PROJECTS:
        build(project, DIST)
    (provider,), (sandbox,) = DIST.glob("airflow_provider_clever-*.whl"), DIST.glob("clever_sandbox-*.whl")
    return Wheels(provider, sandbox)


def build(project: Path, target: Path, *kinds: str) -> None:
    """Build a project as users' tools do; by default an sdist, and from that a wheel."""
    tool("python", "-m", "build", "--quiet", "--no-isolation", *kinds, "--outdir", str(target), str(project))


def tool(name: str, *arguments: str) -> None:
    """Run one of the tools of ``requirements/wheel-tools.txt``."""
    tools = ROOT / os.environ["WHEEL_TOOLS"]
    done = subprocess.run(
        [tools / name, *arguments],
        cwd="/",
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
