"""Measurements, kept beside the page that tells them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from tests.benchmarks import environments
from tests.benchmarks.lineup import PEERS
from tests.benchmarks.running import Measurement, Scenario

FOLDER: Final = environments.ROOT / "docs" / "explanation" / "performance"
_FILE: Final = FOLDER / "measurements.json"

Value = Callable[[Measurement], float]


def rows_per_second(measured: Measurement) -> float:
    """From the first request to the last byte."""
    return float(measured["rows"] / measured["seconds"])


def cpu_per_million(measured: Measurement) -> float:
    """CPU seconds per million rows."""
    return float(measured["cpu_seconds"] / measured["rows"] * 1e6)


def peak_megabytes(measured: Measurement) -> float:
    """The most memory that the process had resident during the pull."""
    return float(measured["peak_megabytes"])


@dataclass
class Results:
    """All measurements, and what they were made with.

    :param machine: what they were made on.
    :param versions: of the peers.
    :param measured_on: per scenario, the day and the revision.
    :param measurements: one entry per pull.
    """

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    measured_on: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    @classmethod
    def stored(cls) -> "Results":
        """What was measured before."""
        return cls(**json.loads(_FILE.read_text())) if _FILE.exists() else cls()

    def store(self) -> None:
        """Keep them for the page."""
        self.machine = environments.machine()
        self.versions = {peer.package: environments.version_of(peer.environment, peer.package) for peer in PEERS}
        FOLDER.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(f"  {json.dumps(_rounded(one))}" for one in self.measurements)
        head = json.dumps({**asdict(self), "measurements": []}, indent=1)
        _FILE.write_text(head.replace('"measurements": []', f'"measurements": [\n{lines}\n ]') + "\n")

    def replace(self, scenario: Scenario, measurements: Sequence[Measurement]) -> None:
        """Put new measurements of a scenario's contenders in the place of older ones."""
        contenders = {contender.key for contender in scenario.contenders}
        kept = [
            one for one in self.measurements if one["scenario"] != scenario.key or one["contender"] not in contenders
        ]
        self.measurements = [*kept, *measurements]
        self.measured_on[scenario.key] = f"{datetime.now(UTC).date()}, revision {environments.commit()}"

    def of(self, scenario: str, contender: str, pull: int = 1) -> list[Measurement]:
        """All runs of one thing."""
        wanted = (scenario, contender, pull)
        return [one for one in self.measurements if (one["scenario"], one["contender"], one["pull"]) == wanted]

    def median(self, value: Value, scenario: str, contender: str, pull: int = 1) -> float | None:
        """The median over all runs; None if there was none."""
        found = [value(one) for one in self.of(scenario, contender, pull)]
        return median(found) if found else None


def _rounded(measured: Measurement) -> dict[str, Any]:
    kept = {name: value for name, value in measured.items() if name != "ended"}
    kept["windows"] = [[round(opened, 1), used] for opened, used in measured["windows"]]
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in kept.items()}
