"""A Clever that answers one recorded night over a real socket: the district, its schools, and rows by school and date.

It knows as little as it can, so that no change of the sandbox changes what the golden lake is compared with.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Night = dict[str, Any]

NIGHTS = Path(__file__).parent / "nights"


def night(name: str) -> Night:
    """One recorded night."""
    found: Night = json.loads((NIGHTS / f"{name}.json").read_text())
    return found


def data_of(told: Night, path: str, asked: dict[str, str]) -> list[dict[str, Any]] | None:
    """What stands in ``data``; None: there is no such path."""
    parts = path.strip("/").split("/")
    if parts[1:] == ["districts"]:
        return [{"data": told["district"]}]
    if parts[1:] == ["schools"]:
        return [{"data": school} for school in told["schools"]]
    if parts[1:3] == ["attendance", "schools"]:
        return [
            row
            for row in told["rows"]
            if row["school_id"] == parts[3]
            and asked["date_range_start"] <= row["attendance_date"] <= asked["date_range_end"]
        ]
    return None


@contextmanager
def answering(told: Night) -> Iterator[str]:
    """Answer from this night until the block ends. Gives the origin."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        log_message: Callable[..., None] = lambda *_: None

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            data = data_of(told, url.path, asked)
            page = {"data": data, "links": [{"rel": "self", "uri": self.path}]}
            body = json.dumps(page, ensure_ascii=False).encode()
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
