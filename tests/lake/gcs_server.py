"""gcp-storage-emulator as a process of its own, made to honour generations.

Run: ``python tests/lake/gcs_server.py``; it prints the port it listens on. The emulator stores a generation with
each object but neither compares it with ``ifGenerationMatch`` nor sends it with a download; both are added here, as
the JSON API documents them (412 Precondition Failed; header ``x-goog-generation``).
``--as-published`` leaves the emulator as it is.
"""

import http.server
import sys
from functools import partial
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage

BUCKET = "lake"


def _generation(storage: Storage, bucket: str, name: str) -> str:
    try:
        return str(storage.get_file_obj(bucket, name)["generation"])
    except NotFound:
        return "0"


def _honouring_generations(handler: Any) -> Any:
    def handle(request: Any, response: Any, storage: Storage) -> None:
        params, query = request.params, request.query
        name = params.get("object_id") or query.get("name", [""])[0]
        expected = query.get("ifGenerationMatch")
        if expected and expected[0] != _generation(storage, params["bucket_name"], name):
            _ = request.data  # read the body, or the connection breaks
            response.status = HTTPStatus.PRECONDITION_FAILED
            response.json({"error": {"code": 412, "message": "conditionNotMet"}})
            return
        if params["bucket_name"] != BUCKET:  # the emulator breaks the connection
            response.status = HTTPStatus.NOT_FOUND
            return
        handler(request, response, storage)
        if request.method == "GET" and name:
            response["x-goog-generation"] = _generation(storage, params["bucket_name"], name)

    return handle


if __name__ == "__main__":
    if "--as-published" not in sys.argv:
        server.HANDLERS = tuple(
            (path, {method: _honouring_generations(handler) for method, handler in methods.items()})
            if "bucket_name" in path
            else (path, methods)
            for path, methods in server.HANDLERS
        )
    storage = Storage(use_memory_fs=True)
    buckets.create_bucket(BUCKET, storage)
    httpd = http.server.HTTPServer(("127.0.0.1", 0), partial(server.RequestHandler, storage))
    print(httpd.server_port, flush=True)  # noqa: T201 - the starter reads it
    httpd.serve_forever()
