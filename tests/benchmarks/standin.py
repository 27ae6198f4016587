"""A server with Clever's wire shape and nothing else, fast enough that what is measured is the client.

The package's sandbox is made to be true to Clever; this one is made to be quick: a school day is rendered once, and a
page is a slice of it with the date put in. Weekdays are school days, and no others. Standard library only. Run it with
``python -m tests.benchmarks.standin``.
"""

import asyncio
import base64
import json
import random
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.utils import formatdate
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

DISTRICT_ID: Final = "d" * 24
SCHOOLS: Final = 40
STUDENTS: Final = 262
SECTIONS_A_DAY: Final = 7
ROWS_A_DAY: Final = STUDENTS * (1 + SECTIONS_A_DAY)
"""2,096 rows per school and day, so that pages do not end where days end."""

_KEPT_PAGES: Final = 600
"""How many rendered pages are kept, so that whoever asks for many at once does not wait for them to be rendered one by
one; together they take 210 MB."""

_SATURDAY: Final = 5  # as date.weekday counts
_NO_SECTION: Final = "0" * 24
_DATE: Final = b"@@date@@@@"
"""Stands in a rendered day where its date goes; as long as a date, so that putting it in moves nothing."""


def school_id(number: int) -> str:
    """The id of a school, from 0."""
    return f"5c{number:022x}"


class SchoolDay(NamedTuple):
    """One school's rows of one day, rendered: where each starts, and what its cursor says after the date."""

    rendered: bytes
    starts: list[int]
    cursors: list[str]


@cache
def school_day(school: str) -> SchoolDay:
    """A school's day, the same at every call and in every process.

    Rows come in the order of (student, section or zeros), a student's daily row first (clever-api.md 3.2).
    """
    chance = random.Random(school)
    students = sorted(f"57{chance.getrandbits(88):022x}" for _ in range(STUDENTS))
    rows: list[bytes] = []
    cursors: list[str] = []
    for student in students:
        sections = sorted(f"5e{chance.getrandbits(88):022x}" for _ in range(SECTIONS_A_DAY))
        for section in [None, *sections]:
            rows.append(_row(chance, school, student, section, len(rows)))
            cursors.append(f"_{student}_{section or _NO_SECTION}_{school}")
    starts = [0, *accumulate(len(row) + 1 for row in rows)]
    return SchoolDay(b",".join(rows) + b",", starts, cursors)


@cache
def school_dates(first_day: str, last_day: str) -> list[str]:
    """The weekdays from the first day to the last."""
    first = date.fromisoformat(first_day)
    days = (first + timedelta(number) for number in range((date.fromisoformat(last_day) - first).days + 1))
    return [day.isoformat() for day in days if day.weekday() < _SATURDAY]


def _row(chance: random.Random, school: str, student: str, section: str | None, number: int) -> bytes:
    status = chance.choices(("present", "absent", "tardy"), (90, 7, 3))[0]
    # An upload of the evening that took two minutes to import; some rows were corrected within the hour.
    created = f"{_DATE.decode()}T22:{chance.randrange(30, 32)}:{chance.randrange(60):02}.000Z"
    corrected = f"{_DATE.decode()}T23:{chance.randrange(60):02}:{chance.randrange(60):02}.000Z"
    row = {
        "attendance_date": _DATE.decode(),
        "attendance_status": status,
        "attendance_type": "section" if section else "daily",
        "created": created,
        "district_id": DISTRICT_ID,
        "excuse_code": chance.choice(("ILL", "APPT", "FAM")) if status == "absent" else None,
        "last_modified": corrected if chance.random() < 0.03 else created,
        "school_id": school,
        "section_id": section,
        "sis_id": f"{_DATE.decode()}-{number:06}",
        "student_id": student,
    }
    present = {name: value for name, value in row.items() if value is not None}
    return json.dumps(present, separators=(",", ":")).encode()


def attendance_page(path: str, query: dict[str, str]) -> bytes:
    """The body of one page, with its links (clever-api.md 2.2 and 3.3)."""
    school = path.rsplit("/", 1)[1]
    day = school_day(school)
    dates = school_dates(query["date_range_start"], query["date_range_end"])
    total = len(dates) * ROWS_A_DAY
    limit = int(query.get("limit", "100"))
    cursor = query.get("starting_after")
    begin = _after(day, dates, cursor) if cursor else 0
    end = min(begin + limit, total)
    parts = []
    position = begin
    while position < end:
        number, row = divmod(position, ROWS_A_DAY)
        until = min(ROWS_A_DAY, row + end - position)
        piece = day.rendered[day.starts[row] : day.starts[until]]
        parts.append(piece.replace(_DATE, dates[number].encode()))
        position += until - row
    asked = "&".join(
        f"{name}={query[name]}" for name in ("date_range_start", "date_range_end", "limit") if name in query
    )
    links = [{"rel": "self", "uri": f"{path}?{asked}" + (f"&starting_after={cursor}" if cursor else "")}]
    if end - begin == limit:  # a full page carries a next link, even if nothing follows (clever-api.md 3.3)
        links.append({"rel": "next", "uri": f"{path}?{asked}&starting_after={_cursor(day, dates, end - 1)}"})
    if cursor and begin < total:
        links.append({"rel": "prev", "uri": f"{path}?{asked}&ending_before={_cursor(day, dates, begin)}"})
    rows = b"".join(parts)[:-1]
    return b'{"data":[' + rows + b'],"links":' + json.dumps(links, separators=(",", ":")).encode() + b"}"


@lru_cache(maxsize=_KEPT_PAGES)
def _kept_page(path: str, query: tuple[tuple[str, str], ...]) -> bytes:
    return attendance_page(path, dict(query))


def page_paths(school: str, first_day: str, last_day: str, *, limit: int = 1000) -> Iterator[str]:
    """Paths and queries of all pages of a school, as the next links would give them."""
    dates = school_dates(first_day, last_day)
    total = len(dates) * ROWS_A_DAY
    asked = f"date_range_start={first_day}&date_range_end={last_day}&limit={limit}"
    for begin in range(0, total, limit):
        cursor = f"&starting_after={_cursor(school_day(school), dates, begin - 1)}" if begin else ""
        yield f"/v3.1/attendance/schools/{school}?{asked}{cursor}"


def _cursor(day: SchoolDay, dates: list[str], position: int) -> str:
    number, row = divmod(position, ROWS_A_DAY)
    return base64.b64encode(f"{dates[number]}{day.cursors[row]}".encode()).decode()


def _after(day: SchoolDay, dates: list[str], cursor: str) -> int:
    plain = base64.b64decode(cursor).decode()
    number = bisect_left(dates, plain[:10])
    return number * ROWS_A_DAY + bisect_right(day.cursors, plain[10:])


@dataclass(slots=True)
class Account:
    """What happened on one bearer token since its run began.

    :param latency_seconds: how long every answer is held back.
    :param limit: requests per window.
    :param window_seconds: length of a window, which its first request opens (clever-api.md 4).
    :param process_id: whose CPU clock is read when the run's first request comes in.
    """

    latency_seconds: float = 0.0
    limit: int = 10**9
    window_seconds: float = 60.0
    process_id: int = 0
    requests: int = 0
    refused: int = 0
    first_request: float = 0.0
    cpu_at_first_request: float = 0.0
    connections: set[int] = field(default_factory=set)
    windows: list[list[float]] = field(default_factory=list)
    resets: float = 0.0

    def admit(self, connection: int) -> bool:
        """Count a request; False if the window is spent. A refused request costs nothing (clever-api.md 4)."""
        now = time.monotonic()
        if not self.requests:
            self.first_request = now
            self.cpu_at_first_request = cpu_seconds_of(self.process_id) if self.process_id else 0.0
        self.requests += 1
        self.connections.add(connection)
        if not self.windows or now >= self.windows[-1][0] + self.window_seconds:
            self.windows.append([now, 0])
            self.resets = time.time() + self.window_seconds
        if self.windows[-1][1] >= self.limit:
            self.refused += 1
            return False
        self.windows[-1][1] += 1
        return True

    def headers(self) -> bytes:
        """The rate-limit headers, with Reset in whole seconds (clever-api.md 4)."""
        left = self.limit - int(self.windows[-1][1])
        return (
            f"X-Ratelimit-Bucket: bearer\r\nX-Ratelimit-Limit: {self.limit}\r\n"
            f"X-Ratelimit-Remaining: {left}\r\nX-Ratelimit-Reset: {int(self.resets)}\r\n"
        ).encode()

    def told(self) -> dict[str, object]:
        """The account as JSON values; windows as seconds since the first request, and requests."""
        return {
            "requests": self.requests,
            "refused": self.refused,
            "connections": len(self.connections),
            "first_request": self.first_request,
            "cpu_at_first_request": self.cpu_at_first_request,
            "windows": [[opened - self.first_request, used] for opened, used in self.windows],
        }


def cpu_seconds_of(process_id: int) -> float:
    """The CPU seconds that another process has used so far, all threads together."""
    # The kernel's own form of clock_getcpuclockid(3): the process id inverted, and 2 for the scheduler's clock.
    return time.clock_gettime((~process_id << 3) | 2)


class Standin:
    """The accounts of all tokens, and what each path answers."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, token: str) -> Account:
        """The account of a token."""
        return self.accounts.setdefault(token, Account())

    def begin(self, query: dict[str, str]) -> dict[str, object]:
        """Start a run's account: counters at zero, behaviour as asked for."""
        self.accounts[query["token"]] = Account(
            latency_seconds=float(query.get("latency_seconds", 0)),
            limit=int(query.get("limit", 10**9)),
            window_seconds=float(query.get("window_seconds", 60)),
            process_id=int(query.get("process_id", 0)),
        )
        return {}

    def control(self, path: str, query: dict[str, str]) -> bytes:
        """Answer the harness."""
        told = self.begin(query) if path == "/_bench/begin" else self.account(query["token"]).told()
        return json.dumps(told).encode()

    def body(self, path: str, query: dict[str, str]) -> bytes | None:
        """What the API answers; None for what is not there."""
        if path.startswith("/v3.1/attendance/schools/"):
            return _kept_page(path, tuple(query.items()))
        find = {"/v3.1/districts": _districts, "/v3.1/schools": _schools}.get(path)
        return find() if find else None


def _districts() -> bytes:
    district = {
        "id": DISTRICT_ID,
        "name": "Bench",
        "state": "success",
        "sis_type": "sftp",
        "last_attendance_sync": "2026-01-05T06:00:00.000Z",
    }
    return _listed("/v3.1/districts", [district])


def _schools() -> bytes:
    return _listed(
        "/v3.1/schools", [{"id": school_id(number), "name": f"School {number}"} for number in range(SCHOOLS)]
    )


def _listed(path: str, items: list[dict[str, str]]) -> bytes:
    data = [{"data": item, "uri": f"{path}/{item['id']}"} for item in items]
    return json.dumps({"data": data, "links": [{"rel": "self", "uri": path}]}).encode()


class Connection(asyncio.Protocol):
    """One kept-alive connection. Requests have no body, and clients wait for the answer before they ask again."""

    def __init__(self, standin: Standin, count: Callable[[], int]) -> None:
        self._standin = standin
        self._number = count()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when a whole request is there."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            self._ask(head.decode("latin-1"))

    def _ask(self, head: str) -> None:
        request, *lines = head.split("\r\n")
        path, _, text = request.split(" ")[1].partition("?")
        query = dict(parse_qsl(text.replace("+", "%2B")))
        if path.startswith("/_bench/"):
            self._answer(b"200 OK", b"", self._standin.control(path, query))
            return
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        account = self._standin.account(headers.get("authorization", "").removeprefix("Bearer "))
        admitted = account.admit(self._number)
        extra = account.headers()
        if not account.latency_seconds:
            self._serve(path, query, extra, admitted=admitted)
            return
        loop = asyncio.get_running_loop()
        loop.call_later(account.latency_seconds, lambda: self._serve(path, query, extra, admitted=admitted))

    def _serve(self, path: str, query: dict[str, str], extra: bytes, *, admitted: bool) -> None:
        if not admitted:
            self._answer(b"429 Too Many Requests", extra, b"")  # empty, no Retry-After (clever-api.md 4)
            return
        body = self._standin.body(unquote(path), query)
        if body is None:
            self._answer(b"404 Not Found", extra, b'{"message":"not found"}')
        else:
            self._answer(b"200 OK", extra, body)

    def _answer(self, status: bytes, extra: bytes, body: bytes) -> None:
        head = (
            b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\nDate: %b\r\n%b\r\n"
        )
        self._transport.write(head % (status, len(body), formatdate(usegmt=True).encode(), extra))
        self._transport.write(body)


async def serve() -> None:
    """Serve on a free port of the loopback interface until the standard input ends; the first line says the port."""
    for number in range(SCHOOLS):
        school_day(school_id(number))
    standin = Standin()
    numbers = iter(range(sys.maxsize))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(standin, lambda: next(numbers)), "127.0.0.1", 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
