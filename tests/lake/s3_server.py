"""moto's S3 as a process of its own, one request at a time, with faults on demand.

Run: ``python tests/lake/s3_server.py``; it prints the port it listens on. moto checks a condition and stores an
object in two steps, so two threads of it can both pass; S3 does not, so requests are served one by one here.
``POST /_faults`` with ``{"count": 3, "status": 503, "code": "SlowDown", "method": "PUT"}`` makes the next three PUTs
fail that way; ``"PUT-AFTER"``: after they were carried out. ``POST /_ignored`` with the name of a header makes it as if
requests never had it. ``POST /_requests`` gives the requests since it was asked last: method, and path with query.
"""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class OneAtATime:
    """A WSGI application around moto's."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._fault: dict[str, Any] = {"count": 0}
        self._ignored = ""
        self._requests: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            environ.pop(self._ignored, None)
            if environ["PATH_INFO"] == "/_ignored":
                name = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
                self._ignored = f"HTTP_{name.upper().replace('-', '_')}"
                start_response("204 No Content", [])
                return []
            if environ["PATH_INFO"] == "/_faults":
                self._fault = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
                start_response("204 No Content", [])
                return []
            if environ["PATH_INFO"] == "/_requests":
                requests, self._requests = self._requests, []
                start_response("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(requests).encode()]
            self._requests.append((environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"))
            is_list = "list-type=2" in environ["QUERY_STRING"]
            method = "LIST" if is_list else environ["REQUEST_METHOD"]
            if self._fault["count"] > 0 and method == self._fault.get("method"):
                self._fault["count"] -= 1
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return self._failed(start_response)
            if self._fault["count"] > 0 and f"{environ['REQUEST_METHOD']}-AFTER" == self._fault.get("method"):
                self._fault["count"] -= 1
                list(self._moto(environ, lambda *_: None))
                return self._failed(start_response)
            return list(self._moto(environ, start_response))

    def _failed(self, start_response: Callable[..., Any]) -> list[bytes]:
        start_response(f"{self._fault['status']} Made up", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{self._fault['code']}</Code><Message>made up</Message></Error>".encode()]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, OneAtATime(), threaded=True, request_handler=_Quiet)
    print(server.server_port, flush=True)  # noqa: T201 - the starter reads it
    server.serve_forever()
