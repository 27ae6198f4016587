"""``clever-sandbox``: start the sandbox and say how to reach it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .app import Stage
from .knobs import Knobs
from .server import SandboxServer, write_ready_file
from .world import BOUNDS, World, WorldPlan

MOST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until SIGTERM or SIGINT; gives the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    knobs = Knobs(rate_limit=options.rate_limit, window_seconds=options.window_seconds, latency_ms=options.latency_ms)

    def when_ready(port: int) -> None:
        url = url_at(options.host, port)
        if not options.quiet:
            print(greeting(url, stage.world), flush=True)
        if options.ready_file:
            write_ready_file(options.ready_file, url, port)

    try:
        stage = Stage(_plan(options), knobs)
        server = SandboxServer(stage, options.host, options.port, when_ready, beyond_loopback=options.beyond_loopback)
    except ValueError as problem:
        parser.error(str(problem))
    server.run()
    return 0


def _plan(options: argparse.Namespace) -> WorldPlan:
    return WorldPlan(
        seed=options.seed,
        today=options.today or datetime.now(UTC).date(),
        districts=tuple(options.districts.split(",")) if options.districts else (),
        extra_districts=options.extra_districts,
        large_schools=options.large_schools,
        large_school_days=options.large_school_days,
        large_students=options.large_students,
    )


def url_at(host: str, port: int) -> str:
    """Give the address under which this machine reaches a sandbox that serves at a host."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greeting(url: str, world: World) -> str:
    """Write what a person needs to use a sandbox that has just started."""
    first = next(iter(world.districts.values()))
    connection = {
        "conn_type": "clever",
        "host": url,
        "login": world.client_id,
        "password": world.client_secret,
        "extra": {"auth_base": url, "district_id": first.id},
    }
    lines = [
        f"Sandbox Clever is up at {url}  (seed {world.plan.seed}, its date is {world.clock.today})",
        "Every name, id and secret here is synthetic.",
        "",
        f"  client id      {world.client_id}",
        f"  client secret  {world.client_secret}",
        "",
        f"  {'district':<15}{'id':<26}{'schools':>7}  token",
    ]
    lines += [
        f"  {d.plan.character:<15}{d.id:<26}{len(d.shared_schools()):>7}  {d.token}" for d in world.districts.values()
    ]
    lines += [
        "",
        "Try it:",
        f"  curl -H 'Authorization: Bearer {first.token}' {url}/v3.1/schools",
        "",
        "For Airflow:",
        f"  export AIRFLOW_CONN_CLEVER_DEFAULT='{json.dumps(connection)}'",
        "",
        f"Look behind the scenes at {url}/_sandbox/ - stop with Ctrl+C.",
    ]
    return "\n".join(lines)


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"{least} or more" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {bounds}")
        return number

    return read


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-23") from None


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _version() -> str:
    try:
        return version("clever-sandbox")
    except PackageNotFoundError:  # a source tree that was put on the path without being installed
        return "0+unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clever-sandbox", description="A stand-in for the Clever API, on loopback.")
    add = parser.add_argument
    add("--version", action="version", version=f"clever-sandbox {_version()}", help="show the version")
    add("--host", default="127.0.0.1", help="address to serve at (default 127.0.0.1)")
    add("--beyond-loopback", action="store_true", help="let --host be any address, as in a container")
    add("--port", type=_whole_number(0, MOST_PORT), default=8900, help="port; 0 picks a free one (default 8900)")
    add("--seed", type=int, default=7, help="the same seed and date give the same world (default 7)")
    add("--today", type=_date, help="the sandbox's date, YYYY-MM-DD (default: today in UTC)")
    add("--rate-limit", type=_whole_number(1), default=1200, help="requests per window and token (default 1200)")
    add("--window-seconds", type=_positive, default=60.0, help="length of a rate-limit window (default 60)")
    add("--latency-ms", type=_whole_number(0), default=0, help="delay of each answer in milliseconds (default 0)")
    add("--districts", help="characters to include, with commas (default: all)")
    add(
        "--extra-districts",
        type=_whole_number(*BOUNDS["extra_districts"]),
        default=0,
        help="tiny districts to add (default 0)",
    )
    for name, default, what in (
        ("large_schools", 40, "schools of the large district"),
        ("large_school_days", 120, "school days of the large district"),
        ("large_students", 250, "students per school of the large district"),
    ):
        option = f"--{name.replace('_', '-')}"
        add(option, type=_whole_number(*BOUNDS[name]), default=default, help=f"{what} (default {default})")
    add("--ready-file", type=_file, help="write url, port and pid as JSON here once requests are accepted")
    add("--quiet", action="store_true", help="print nothing at the start")
    return parser


if __name__ == "__main__":
    sys.exit(main())
