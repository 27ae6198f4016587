"""Object stores on loopback, each a process of its own: moto for S3, gcp-storage-emulator, Azurite for Azure.

``python -m tests.lake.emulators`` installs what only npm has (Azurite, pinned, into ``.emulators/``).
"""

import base64
import fcntl
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from fsspec import AbstractFileSystem

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".emulators"
AZURITE: Final = "azurite@3.35.0"
AZURE_ACCOUNT: Final = "lakeaccount"
AZURE_KEY: Final = base64.b64encode(b"not a secret: a loopback emulator").decode()


@cache
def aws_session() -> "AioSession":
    """What botocore has read from its files about S3: each session reads them anew, for a tenth of a second."""
    from aiobotocore.session import AioSession

    return AioSession()


@dataclass(frozen=True)
class Store:
    """How to reach a store, from this process or another."""

    protocol: str
    root: str
    options: dict[str, Any] = field(default_factory=dict)
    url: str = ""

    def filesystem(self) -> "AbstractFileSystem":
        """A file system of its own, with connections and caches that no other one has."""
        import fsspec

        if self.protocol == "gs":
            # gcsfs' default class asks Google over gRPC, for a minute, what kind of bucket it has before it.
            from gcsfs.core import GCSFileSystem

            return GCSFileSystem(skip_instance_cache=True, **self.options)
        if self.protocol == "s3":
            return fsspec.filesystem("s3", skip_instance_cache=True, session=aws_session(), **self.options)
        return fsspec.filesystem(self.protocol, skip_instance_cache=True, **self.options)

    def below(self, name: str) -> "Store":
        """The same store, another root."""
        return Store(self.protocol, f"{self.root}/{name}", self.options, self.url)

    def to_json(self) -> str:
        """For a command line."""
        return json.dumps([self.protocol, self.root, self.options, self.url])

    @classmethod
    def from_json(cls, text: str) -> "Store":
        """From a command line."""
        return cls(*json.loads(text))

    def fail_next(self, count: int, *, status: int, code: str, method: str = "PUT") -> None:
        """Make the S3 server answer the next requests of a method with an error."""
        body = json.dumps({"count": count, "status": status, "code": code, "method": method}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_faults", data=body), timeout=10).close()

    def requests(self) -> list[tuple[str, str]]:
        """The requests to the S3 server since this was asked last: method, and path with query."""
        asked = urllib.request.Request(f"{self.url}/_requests", data=b"")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return [tuple(request) for request in json.loads(answer.read())]

    def ignore_header(self, name: str) -> None:
        """Make the S3 server overlook a request header from now on; an empty name: none."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_ignored", data=name.encode()), timeout=10).close()


@contextmanager
def _process(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | (environment or {}),
        cwd=HERE.parents[1],
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _first_line(process: subprocess.Popen[str], holding: str = "") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if holding in line:
            return line.strip()
    raise RuntimeError(f"{process.args} ended with {process.wait()}")


@contextmanager
def s3() -> Iterator[Store]:
    """S3, with the bucket ``lake``."""
    with _process([sys.executable, str(HERE / "s3_server.py")]) as process:
        url = f"http://127.0.0.1:{int(_first_line(process))}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/lake", method="PUT"), timeout=10).close()
        options = {"key": "made-up", "secret": "made-up", "client_kwargs": {"endpoint_url": url}}
        yield Store("s3", "lake", options, url)


@contextmanager
def gcs(*, as_published: bool = False) -> Iterator[Store]:
    """Google Cloud Storage, with the bucket ``lake``."""
    flags = ["--as-published"] if as_published else []
    with _process([sys.executable, str(HERE / "gcs_server.py"), *flags]) as process:
        url = f"http://127.0.0.1:{int(_first_line(process))}"
        yield Store("gs", "lake", {"token": "anon", "endpoint_url": url, "project": "made-up"}, url)


@contextmanager
def azure() -> Iterator[Store]:
    """Azure Blob Storage, with the container ``lake``."""
    program = install_azurite()
    command = ["node", str(program), "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]
    environment = {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}
    with _process([*command, "--silent", "--disableTelemetry"], environment) as process:
        url = _first_line(process, "listens on").rpartition(" ")[2].rstrip("/")
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
            f"BlobEndpoint={url}/{AZURE_ACCOUNT};"
        )
        store = Store("abfs", "lake", {"connection_string": connection}, url)
        store.filesystem().mkdir("lake")
        yield store


def install_azurite() -> Path:
    """Azurite's blob server, installed on first use (npm; about 190 MB in ``.emulators/``)."""
    program = CACHE / "node_modules/azurite/dist/src/blob/main.js"
    installed = CACHE / f"{AZURITE}.installed"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the same test run may be installing it
        if not installed.exists():
            command = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--loglevel=error", AZURITE]
            subprocess.run(command, check=True, timeout=300)
            installed.touch()
    return program


if __name__ == "__main__":
    print(install_azurite())  # noqa: T201 - a command
