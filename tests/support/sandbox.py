"""The sandbox Clever as a process of its own, and its control routes as methods."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 120.0
STOP_SECONDS = 5.0
GUARD_SECONDS = 120.0
CONTROL_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SandboxDistrict:
    """One district as the sandbox described it when asked.

    :param school_ids: The schools that are shared with the app.
    :param all_school_ids: Those and the ones that are not.
    """

    character: str
    id: str
    name: str
    token: str
    school_ids: tuple[str, ...]
    all_school_ids: tuple[str, ...]
    schools: dict[str, str]
    last_attendance_sync: str | None
    synced_through: str | None


class Sandbox:
    """A running sandbox: where it is, what it holds, and how to make it misbehave.

    :param url: Origin of both the API and the token listing.
    :param pid: The server's process.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid
        self._session = requests.Session()
        self._session.trust_env = False
        facts = self.overview()
        self.client_id: str = facts["client_id"]
        self.client_secret: str = facts["client_secret"]

    def close(self) -> None:
        """Close the connection to the control routes."""
        self._session.close()

    def control(self, method: str, path: str, **options: Any) -> Any:
        """Send a control request and give its JSON; a refused one is an error that says why."""
        answer = self._session.request(
            method, f"{self.url}/_sandbox/{path}", timeout=CONTROL_TIMEOUT_SECONDS, **options
        )
        if answer.status_code != 200:
            raise RuntimeError(f"sandbox control {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def overview(self) -> dict[str, Any]:
        """Give credentials, clock and districts as they are now."""
        facts: dict[str, Any] = self.control("GET", "")
        return facts

    @property
    def today(self) -> str:
        """The sandbox's date."""
        return str(self.overview()["today"])

    @property
    def now(self) -> str:
        """The sandbox's moment, as ISO-8601 UTC."""
        return str(self.overview()["now"])

    @property
    def first_visible_day(self) -> str:
        """The oldest date that is still kept."""
        return str(self.overview()["first_visible_day"])

    @property
    def districts(self) -> dict[str, SandboxDistrict]:
        """The districts by character, as they are now."""
        return {facts["character"]: _district(facts) for facts in self.overview()["districts"]}

    def district(self, name: str) -> SandboxDistrict:
        """Give a district by its character or id, as it is now."""
        districts = self.districts
        return districts.get(name) or next(d for d in districts.values() if d.id == name)

    def reset(self, *, knobs: dict[str, Any] | None = None, **plan: Any) -> None:
        """Build the world anew: seed, today, districts, extra_districts, large_schools and so on; else as started."""
        self.control("POST", "reset", json={**plan, "knobs": knobs or {}})

    def knobs(self, **changes: Any) -> dict[str, Any]:
        """Turn knobs and give them all."""
        settings: dict[str, Any] = self.control("POST", "knobs", json=changes)
        return settings

    def fault(self, kind: str, **match: Any) -> None:
        """Queue a fault: family, path, query, token, district_id, school_id, nth, every, times, seconds, body ..."""
        self.control("POST", "faults", json={"kind": kind, **match})

    def faults(self) -> list[dict[str, Any]]:
        """List the queued faults with how often each has hit."""
        queued: list[dict[str, Any]] = self.control("GET", "faults")
        return queued

    def clear_faults(self) -> None:
        """Drop every fault."""
        self.control("DELETE", "faults")

    def sync(self, district: str = "small", **upload: Any) -> dict[str, Any]:
        """Load a district's upload: through, edits, late_rows, deletes, weeks, school_ids. Gives what it did."""
        done: dict[str, Any] = self.control("POST", "sync", json={"district_id": district, **upload})
        return done

    def deliver(self, district: str = "small") -> int:
        """Load at once the rows of uploads whose stamp came first (knob ``rows_lag_seconds``); says how many."""
        return int(self.control("POST", "deliver", json={"district_id": district})["delivered"])

    def set_now(self, moment: str) -> None:
        """Put the sandbox's clock to an ISO-8601 moment."""
        self.control("POST", "clock", json={"now": moment})

    def advance(self, *, sync: bool | list[str] = False, **span: Any) -> str:
        """Move the clock by days, hours, minutes, seconds; with ``sync``, districts upload daily on the way.

        ``edits``, ``late_rows``, ``deletes`` and ``weeks`` go to each of these uploads. Gives the new date.
        """
        moved = self.control("POST", "clock", json={**span, **({"sync": sync} if sync else {})})
        return str(moved["today"])

    def share(self, school_id: str, shared: bool = True) -> None:
        """Share a school with the app, or take it away."""
        self.control("POST", "share", json={"school_id": school_id, "shared": shared})

    def connect(self, district: str, connected: bool = True) -> None:
        """Connect a district to the app, or disconnect it."""
        self.control("POST", "connect", json={"district_id": district, "connected": connected})

    def pause(self, district: str, paused: bool = True) -> None:
        """Pause a district's uploads, or let them go on."""
        self.control("POST", "pause", json={"district_id": district, "paused": paused})

    def set_stamp(self, district: str, last_attendance_sync: str | None) -> None:
        """Set ``last_attendance_sync`` to any moment, or to null."""
        body = {"district_id": district, "last_attendance_sync": last_attendance_sync}
        self.control("POST", "stamp", json=body)

    def rotate_token(self, district: str) -> str:
        """Replace a district's token and give the new one; the old one is refused."""
        return str(self.control("POST", "rotate", json={"district_id": district})["token"])

    def revoke_token(self, district: str) -> None:
        """Refuse a district's token from now on, though ``/oauth/tokens`` still lists it."""
        self.control("POST", "revoke", json={"district_id": district})

    def put_rows(self, *rows: dict[str, Any]) -> None:
        """Add or change records; school_id, attendance_date and student_id are needed, the rest is filled in."""
        self.control("POST", "rows", json={"put": list(rows)})

    def delete_rows(self, *rows: dict[str, Any]) -> None:
        """Delete records without a trace, given by school_id, attendance_date, student_id and section_id."""
        self.control("POST", "rows", json={"delete": list(rows)})

    def expected(self, district: str = "small", **query: Any) -> list[dict[str, Any]]:
        """Give the rows due: school_id (one or a list), section_id, date_range_start/end, attendance_status."""
        return list(self.iter_expected(district, **query))

    def iter_expected(self, district: str = "small", **query: Any) -> Iterator[dict[str, Any]]:
        """Stream the rows due."""
        with self._session.get(
            f"{self.url}/_sandbox/expected",
            params={"district_id": district, **query},
            stream=True,
            timeout=CONTROL_TIMEOUT_SECONDS,
        ) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines(chunk_size=1 << 16, delimiter=b"\n"):
                if line:
                    yield json.loads(line)

    def expected_count(self, district: str = "small", **query: Any) -> dict[str, Any]:
        """Give ``{"total": n, "schools": {school_id: {date: {status: n}}}}`` of the rows due."""
        counts: dict[str, Any] = self.control(
            "GET", "expected", params={"district_id": district, "format": "count", **query}
        )
        return counts

    def requests(self) -> list[dict[str, Any]]:
        """List the newest requests (at most 20,000) as the server saw them."""
        log: list[dict[str, Any]] = self.control("GET", "requests")
        return log

    def clear_requests(self) -> None:
        """Forget the requests so far, and set the counters to zero."""
        self.control("DELETE", "requests")

    def counters(self) -> dict[str, Any]:
        """Give running counters: total, by_status, by_family, by_token, by_fault, connections, max_in_flight."""
        counters: dict[str, Any] = self.control("GET", "counters")
        return counters

    def windows(self) -> list[dict[str, Any]]:
        """List the rate-limit windows: token fingerprint, limit, used, rejected."""
        windows: list[dict[str, Any]] = self.control("GET", "windows")
        return windows

    def end_windows(self) -> None:
        """End every rate-limit window now."""
        self.control("DELETE", "windows")

    @contextmanager
    def holding_answers(self, requests: int) -> Iterator[None]:
        """Hold back every answer; once the block is through, wait until so many requests wait side by side, and let go.

        Whoever sends one request after another never gets there: so many in flight are the proof that none blocks.
        """
        self.knobs(hold_answers=True)
        try:
            yield
            self.wait_for_in_flight(requests)
        finally:
            self.knobs(hold_answers=False)

    def wait_for_in_flight(self, requests: int) -> None:
        """Wait until so many requests wait for their answers."""
        deadline = time.monotonic() + GUARD_SECONDS
        while self.counters()["in_flight"] < requests:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.counters()['in_flight']} of {requests} requests are waiting for an answer")
            time.sleep(0.02)

    def connection_json(self, district: str | None = None, mode: str = "client", **extra: Any) -> str:
        """Give the value for ``AIRFLOW_CONN_CLEVER_DEFAULT``.

        :param mode: ``client`` for client id and secret, ``token`` for the district's bearer token.
        """
        found = self.district(district) if district else None
        if mode == "token":
            login, password = "", (found or self.district("small")).token
        else:
            login, password = self.client_id, self.client_secret
        extras = {"auth_base": self.url, **({"district_id": found.id} if found else {}), **extra}
        fields = {"conn_type": "clever", "host": self.url, "login": login, "password": password, "extra": extras}
        return json.dumps(fields)


def _district(facts: dict[str, Any]) -> SandboxDistrict:
    schools = facts["schools"]
    return SandboxDistrict(
        character=facts["character"],
        id=facts["id"],
        name=facts["name"],
        token=facts["token"],
        school_ids=tuple(sorted(school["id"] for school in schools if school["shared"])),
        all_school_ids=tuple(school["id"] for school in schools),
        schools={school["name"]: school["id"] for school in schools},
        last_attendance_sync=facts["last_attendance_sync"],
        synced_through=facts["synced_through"],
    )


@contextmanager
def running_sandbox(
    program: Sequence[str] = (sys.executable, "-m", "airflow_provider_clever.sandbox"), **options: Any
) -> Iterator[Sandbox]:
    """Start a sandbox in a process of its own on a free port, and stop it by its pid.

    :param program: The command without its options.
    :param options: Command-line options with underscores, e.g. ``seed=7, today="2026-11-23", rate_limit=40``.
    """
    with tempfile.TemporaryDirectory(prefix="clever-sandbox-") as folder:
        ready = Path(folder, "ready.json")
        output = Path(folder, "output.txt")
        command = [*program, "--quiet", "--ready-file", str(ready)]
        for name, value in {"port": 0, **options}.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        with output.open("wb") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
        try:
            facts = _wait_until_ready(process, ready, output)
            sandbox = Sandbox(facts["url"], facts["pid"])
            try:
                yield sandbox
            finally:
                sandbox.close()
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, output: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The sandbox did not start: {output.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    facts: dict[str, Any] = json.loads(ready.read_text())
    return facts
