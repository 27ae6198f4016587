"""Each peer's own virtual environment, made when it is first needed."""

import hashlib
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_VENVS: Final = ROOT / ".venvs"


def python_of(environment: str) -> Path:
    """The interpreter of an environment, which is installed if it is missing or its pins have changed.

    :param environment: as in ``requirements/bench-<environment>.txt``; empty for the project's own.
    """
    if not environment:
        return Path(sys.executable)
    folder = _VENVS / f"bench-{environment}"
    pins = ROOT / "requirements" / f"bench-{environment}.txt"
    ready, wanted = folder / ".ready", hashlib.sha256(pins.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not ready.exists() or ready.read_text() != wanted:
        uv = Path(sys.executable).with_name("uv")
        make: list[str | Path] = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder]
        subprocess.run(make, cwd=ROOT, check=True)
        # Compiled, as our own environment is: otherwise a peer would be timed while it is compiled.
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
        subprocess.run([*install, "--requirement", pins], cwd=ROOT, check=True)
        ready.write_text(wanted)
    return python


def version_of(environment: str, package: str) -> str:
    """The version of a package in an environment."""
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([python_of(environment), "-c", ask], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def machine() -> dict[str, str]:
    """What the measurements were made on, without names or paths."""
    processors = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": processors[0].partition(":")[2].strip() if processors else platform.machine(),
        "cores": str(len(processors)),
        "memory": f"{kilobytes / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in ("apache-airflow", "pyarrow", "pydantic", "requests")},
    }


def commit() -> str:
    """The revision that was measured, with a plus sign if files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return json.dumps(told.stdout.strip())[1:-1]
