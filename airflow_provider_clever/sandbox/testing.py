"""The sandbox for your tests: a process on a free loopback port, and its control routes as methods.

With pytest, ``airflow_provider_clever.sandbox.pytest_plugin`` has the fixtures. Without it::

    with running_sandbox(districts="small", today="2026-11-23") as sandbox:
        os.environ["AIRFLOW_CONN_CLEVER_DEFAULT"] = sandbox.connection_json("small")
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

START_SECONDS = 120.0
STOP_SECONDS = 5.0
GUARD_SECONDS = 120.0
CONTROL_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SandboxDistrict:
    """One district as it was when you asked for it.

    :param character: What it is called in the documentation, such as ``small``.
    :param id: Its Clever id.
    :param name: Its name.
    :param token: Its bearer token.
    :param school_ids: The schools that it shares with the app, in order of id.
    :param all_school_ids: All of its schools.
    :param schools: The id of each school, by name.
    :param last_attendance_sync: When its last attendance sync ended, ISO-8601 UTC; None if it never synced.
    :param synced_through: The last day that its uploads cover, ``YYYY-MM-DD``; None if it never synced.
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
        facts = self.overview()
        self.client_id: str = facts["client_id"]
        self.client_secret: str = facts["client_secret"]

    def control(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None) -> Any:
        """Call a control route and give its JSON.

        :param method: ``GET``, ``POST`` or ``DELETE``.
        :param path: The route below ``/_sandbox/``.
        :param params: The query; a list gives a parameter several times, and None leaves it out.
        :param json: The body.
        :raises RuntimeError: The sandbox refused it; the message says why.
        """
        with self._answer(method, path, params, json) as answer:
            return _parsed(answer.read())

    @contextmanager
    def _answer(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any = None
    ) -> Iterator[http.client.HTTPResponse]:
        query = urlencode({name: value for name, value in (params or {}).items() if value is not None}, doseq=True)
        headers = {} if body is None else {"Content-Type": "application/json"}
        # A connection for each call: threads may share a Sandbox, and a fault may have closed the last one.
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=CONTROL_TIMEOUT_SECONDS)
        with closing(connection):
            connection.request(method, f"/_sandbox/{path}?{query}", None if body is None else _text(body), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                reason = answer.read().decode(errors="replace")
                raise RuntimeError(f"sandbox control {method} {path}: {answer.status} {reason}")
            yield answer

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
        """Rebuild the world as it was at the start, without faults, logged requests or changed knobs.

        :param knobs: Knobs to set in the new world.
        :param plan: What to change: ``seed``, ``today``, ``districts``, ``extra_districts``, ``large_schools`` ...
        """
        self.control("POST", "reset", json={**plan, "knobs": knobs or {}})

    def knobs(self, **changes: Any) -> dict[str, Any]:
        """Set knobs, and give the values of all of them."""
        settings: dict[str, Any] = self.control("POST", "knobs", json=changes)
        return settings

    def fault(self, kind: str, **match: Any) -> None:
        """Queue a fault for the requests that match.

        :param kind: The fault, such as ``500``, ``429`` or ``hang``; ``docs/reference/sandbox.md`` lists them.
        :param match: ``family``, ``path``, ``query``, ``token``, ``district_id``, ``school_id``, ``nth``, ``every``,
            ``times``, ``seconds``, ``body`` ...
        """
        self.control("POST", "faults", json={"kind": kind, **match})

    def faults(self) -> list[dict[str, Any]]:
        """List the queued faults, and how often each was applied."""
        queued: list[dict[str, Any]] = self.control("GET", "faults")
        return queued

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.control("DELETE", "faults")

    def sync(self, district: str = "small", **upload: Any) -> dict[str, Any]:
        """Let a district upload its attendance. Give what changed.

        :param district: Its character or id.
        :param upload: ``through``, ``edits``, ``late_rows``, ``deletes``, ``weeks``, ``school_ids``.
        """
        done: dict[str, Any] = self.control("POST", "sync", json={"district_id": district, **upload})
        return done

    def deliver(self, district: str = "small") -> int:
        """Deliver the rows of uploads whose stamp came first (knob ``rows_lag_seconds``). Give their number."""
        return int(self.control("POST", "deliver", json={"district_id": district})["delivered"])

    def set_now(self, moment: str) -> None:
        """Set the sandbox's clock to an ISO-8601 instant."""
        self.control("POST", "clock", json={"now": moment})

    def advance(self, *, sync: bool | list[str] = False, **span: Any) -> str:
        """Move the clock forwards, and give the new date.

        :param sync: Districts that upload on each day passed: True for all, or their characters or ids. Default: none.
        :param span: ``days``, ``hours``, ``minutes``, ``seconds``; and, for each upload, ``edits``, ``late_rows``,
            ``deletes`` and ``weeks``.
        """
        moved = self.control("POST", "clock", json={**span, **({"sync": sync} if sync else {})})
        return str(moved["today"])

    def share(self, school_id: str, *, shared: bool = True) -> None:
        """Share a school with the app, or stop sharing it."""
        self.control("POST", "share", json={"school_id": school_id, "shared": shared})

    def connect(self, district: str, *, connected: bool = True) -> None:
        """Connect a district to the app, or disconnect it."""
        self.control("POST", "connect", json={"district_id": district, "connected": connected})

    def pause(self, district: str, *, paused: bool = True) -> None:
        """Pause a district's uploads, or resume them."""
        self.control("POST", "pause", json={"district_id": district, "paused": paused})

    def set_stamp(self, district: str, last_attendance_sync: str | None) -> None:
        """Set ``last_attendance_sync`` to any instant, or to null."""
        body = {"district_id": district, "last_attendance_sync": last_attendance_sync}
        self.control("POST", "stamp", json=body)

    def rotate_token(self, district: str) -> str:
        """Replace a district's token, and give the new one. The old one is refused from now on."""
        return str(self.control("POST", "rotate", json={"district_id": district})["token"])

    def revoke_token(self, district: str) -> None:
        """Refuse a district's token from now on, though ``/oauth/tokens`` still lists it."""
        self.control("POST", "revoke", json={"district_id": district})

    def put_rows(self, *rows: dict[str, Any]) -> None:
        """Add or change attendance rows. Required: school_id, attendance_date and student_id."""
        self.control("POST", "rows", json={"put": list(rows)})

    def delete_rows(self, *rows: dict[str, Any]) -> None:
        """Delete attendance rows, named by school_id, attendance_date, student_id and section_id."""
        self.control("POST", "rows", json={"delete": list(rows)})

    def expected(self, district: str = "small", **query: Any) -> list[dict[str, Any]]:
        """Give the rows that a correct pull returns.

        :param district: Its character or id.
        :param query: ``school_id`` (one, or a list), ``section_id``, ``date_range_start``, ``date_range_end``,
            ``attendance_status``.
        """
        return list(self.iter_expected(district, **query))

    def iter_expected(self, district: str = "small", **query: Any) -> Iterator[dict[str, Any]]:
        """Iterate over the rows that a correct pull returns; see :meth:`expected`."""
        with self._answer("GET", "expected", {"district_id": district, **query}) as answer:
            unfinished = b""
            while piece := answer.read1(1 << 16):
                *lines, unfinished = (unfinished + piece).split(b"\n")
                yield from map(json.loads, lines)

    def expected_count(self, district: str = "small", **query: Any) -> dict[str, Any]:
        """Count those rows: ``{"total": n, "schools": {school_id: {date: {status: n}}}}``; see :meth:`expected`."""
        counts: dict[str, Any] = self.control(
            "GET", "expected", params={"district_id": district, "format": "count", **query}
        )
        return counts

    def requests(self) -> list[dict[str, Any]]:
        """List the requests that the server received, up to the newest 20,000."""
        log: list[dict[str, Any]] = self.control("GET", "requests")
        return log

    def clear_requests(self) -> None:
        """Clear the list of requests, and set the counters to zero."""
        self.control("DELETE", "requests")

    def counters(self) -> dict[str, Any]:
        """Give the counters: total, by_status, by_family, by_token, by_fault, connections, in_flight, max_in_flight."""
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
        """Hold back every answer until the block has ended and this many requests wait at the same time.

        A client that sends one request after another never gets that far.
        """
        self.knobs(hold_answers=True)
        try:
            yield
            self.wait_for_in_flight(requests)
        finally:
            self.knobs(hold_answers=False)

    def wait_for_in_flight(self, requests: int) -> None:
        """Wait until this many requests wait for their answers, at most 2 minutes."""
        deadline = time.monotonic() + GUARD_SECONDS
        while self.counters()["in_flight"] < requests:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.counters()['in_flight']} of {requests} requests are waiting for an answer")
            time.sleep(0.02)

    def connection_json(self, district: str | None = None, mode: str = "client", **extra: Any) -> str:
        """Give an Airflow connection as JSON, for a variable such as ``AIRFLOW_CONN_CLEVER_DEFAULT``.

        :param district: The character or id of the connection's district. Default: none, so that tasks name theirs.
        :param mode: ``client`` for the app's client id and secret, ``token`` for the district's bearer token.
        :param extra: Further extra fields, such as ``budget_share``.
        """
        found = self.district(district) if district else None
        if mode == "token":
            login, password = "", (found or self.district("small")).token
        else:
            login, password = self.client_id, self.client_secret
        extras = {"auth_base": self.url, **({"district_id": found.id} if found else {}), **extra}
        fields = {"conn_type": "clever", "host": self.url, "login": login, "password": password, "extra": extras}
        return json.dumps(fields)


# Sandbox.control has a parameter named json, as the test clients of other libraries do.
_parsed, _text = json.loads, json.dumps


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
    """Start a sandbox in a process of its own on a free port, and stop that process at the end.

    :param program: The command without its options. Default: this Python's sandbox.
    :param options: Its command-line options with underscores, such as ``seed=7, today="2026-11-23", rate_limit=40``.
    :raises RuntimeError: It did not start; the message shows what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="clever-sandbox-") as folder:
        ready = Path(folder, "ready.json")
        output = Path(folder, "output.txt")
        command = [*program, "--quiet", "--ready-file", str(ready)]
        for name, value in {"port": 0, **options}.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        with output.open("wb") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)  # noqa: S603 - the caller's program
        try:
            facts = _wait_until_ready(process, ready, output)
            yield Sandbox(facts["url"], facts["pid"])
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
