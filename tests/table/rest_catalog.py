"""A REST catalog on loopback, as Iceberg's OpenAPI document has it, on top of a SQL one; it misbehaves on request."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableRequest
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

CREDENTIAL = ("an-id", "a-made-up-secret")
_STATUS: dict[type[Exception], int] = {
    NoSuchNamespaceError: 404,
    NoSuchTableError: 404,
    NamespaceAlreadyExistsError: 409,
    TableAlreadyExistsError: 409,
    CommitFailedException: 409,
}


@dataclass
class RestCatalog:
    """The server.

    :param url: where it listens.
    :param lose_answers: so many commits are made, and answered with an error all the same.
    :param before_commit: is called before each commit.
    """

    url: str
    catalog: SqlCatalog
    lose_answers: int = 0
    commits: int = 0
    before_commit: list[Any] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, token: str | None) -> tuple[int, Any]:  # noqa: PLR0911 - one for each endpoint
        """The status and document of an answer."""
        match [method, *path.split("?", maxsplit=1)[0].strip("/").split("/")]:
            case ["GET", "v1", "config"]:
                return 200, {"defaults": {}, "overrides": {}}
            case ["POST", "v1", "oauth", "tokens"]:
                if "&client_secret=a-made-up-secret" not in f"&{body.decode()}":
                    return 401, {"error": "invalid_client", "error_description": "a-made-up-secret is wrong"}
                return 200, {"access_token": "a-made-up-token", "token_type": "bearer", "expires_in": 3600}
            case _ if token != "Bearer a-made-up-token":
                return 401, {
                    "error": {"message": f"no such token {token}", "type": "NotAuthorizedException", "code": 401}
                }
            case ["POST", "v1", "namespaces"]:
                self.catalog.create_namespace(".".join(json.loads(body)["namespace"]))
                return 200, {"namespace": json.loads(body)["namespace"], "properties": {}}
            case ["GET", "v1", "namespaces", namespace, "tables", table]:
                return 200, self._loaded(f"{namespace}.{table}")
            case ["POST", "v1", "namespaces", namespace, "tables"]:
                left_out = {"location": None, "partition-spec": None, "write-order": None}
                asked = CreateTableRequest.model_validate(left_out | json.loads(body))
                self.catalog.create_table(
                    f"{namespace}.{asked.name}",
                    asked.table_schema,
                    location=asked.location,
                    partition_spec=asked.partition_spec or UNPARTITIONED_PARTITION_SPEC,
                    sort_order=asked.write_order or UNSORTED_SORT_ORDER,
                    properties=asked.properties,
                )
                return 200, self._loaded(f"{namespace}.{asked.name}")
            case ["POST", "v1", "namespaces", namespace, "tables", table]:
                return self._committed(f"{namespace}.{table}", CommitTableRequest.model_validate_json(body))
        return 404, {"error": {"message": "unknown", "type": "NoSuchEndpoint", "code": 404}}

    def _loaded(self, name: str) -> dict[str, Any]:
        table = self.catalog.load_table(name)
        metadata = json.loads(table.metadata.model_dump_json())
        return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}

    def _committed(self, name: str, asked: CommitTableRequest) -> tuple[int, Any]:
        for act in self.before_commit:
            act()
        made = self.catalog.commit_table(self.catalog.load_table(name), asked.requirements, asked.updates)
        self.commits += 1
        if self.lose_answers:
            self.lose_answers -= 1
            return 503, {"error": {"message": "try again", "type": "ServiceUnavailable", "code": 503}}
        metadata = json.loads(made.metadata.model_dump_json())
        return 200, {"metadata-location": made.metadata_location, "metadata": metadata}


@contextmanager
def rest_catalog(folder: Path) -> Iterator[RestCatalog]:
    """A server with its warehouse and its database in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{folder}/catalog.db"
    served = RestCatalog("", SqlCatalog("served", uri=database, warehouse=f"file://{folder}/warehouse"))

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, document = served.answer(self.command, self.path, body, self.headers.get("Authorization"))
            except tuple(_STATUS) as error:
                status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
                document = {"error": {"message": str(error), "type": type(error).__name__, "code": status}}
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _serve  # noqa: N815 - so the standard library calls them

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
