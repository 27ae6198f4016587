"""Parses the URL of a destination: a known scheme with one plain, absolute path. Nothing is opened here.

A destination comes from templates, variables, YAML files and shells, so it may be empty, incomplete or misspelt. A text
that does not name exactly one place is refused, because nobody finds rows that land elsewhere. An error never quotes
what may be a password.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverSettingsError

HOW_TO_WRITE_ONE: Final = (
    "Write it like s3://conn_id@bucket/prefix, gs://conn_id@bucket/prefix, abfs://conn_id@container/prefix or "
    "file:///data/clever"
)
LONGEST_BYTES: Final = 700
"""Object stores allow 1,024 bytes for a whole name, including our path below the destination."""
LONGEST_NAME_BYTES: Final = 255
"""The longest name of a folder on file systems."""


class Kind(NamedTuple):
    """A kind of store.

    :param name: as its vendor calls it.
    :param extra: the extra of this package that installs its libraries; None: none is needed.
    :param conn_types: the types of Airflow connections for it.
    """

    name: str
    extra: str | None = None
    conn_types: frozenset[str] = frozenset()


_LOCAL: Final = Kind("a local or network file system")
_S3: Final = Kind("Amazon S3", "s3", frozenset({"aws"}))
_GCS: Final = Kind("Google Cloud Storage", "gcs", frozenset({"google_cloud_platform"}))
_AZURE: Final = Kind("Azure Blob Storage", "azure", frozenset({"wasb", "adls", "azure", "azure_data_lake"}))

KINDS: Final[dict[str, Kind]] = {
    "file": _LOCAL,
    "s3": _S3,
    "s3a": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "abfs": _AZURE,
    "abfss": _AZURE,
}
"""Each scheme of a store that compares and swaps, under the names that Airflow's providers register."""

FOREIGN_CONN_TYPES: Final = frozenset({"clever"}).union(*(kind.conn_types for kind in KINDS.values()))
"""Types of connections that reach one kind of store, or none; any other type, such as a generic one, may work."""

_MISTAKEN: Final[dict[str, str]] = {
    "memory": "memory:// is forgotten when the task's process ends, and the rows with it",
    "local": "local paths are written file:///data/clever",
    "https": "a web address is no destination; name the store itself",
    "http": "a web address is no destination; name the store itself",
    "az": "Azure Blob Storage is written abfs://conn_id@container/prefix",
    "wasb": "Azure Blob Storage is written abfs://conn_id@container/prefix",
    "wasbs": "Azure Blob Storage is written abfs://conn_id@container/prefix",
    "adl": "Azure Blob Storage is written abfs://conn_id@container/prefix",
    "s3n": "Amazon S3 is written s3://conn_id@bucket/prefix",
}


@dataclass(frozen=True, slots=True)
class DestinationUrl:
    """One place where attendance lands.

    :param scheme: such as ``s3``.
    :param conn_id: the Airflow connection that reaches it; None: the machine's own credentials.
    :param root: its path on a file system of that kind: ``/data/clever``, or ``bucket/prefix``.
    """

    scheme: str
    conn_id: str | None
    root: str

    @property
    def kind(self) -> Kind:
        """The kind of store; one that :data:`KINDS` does not have only if there is a single writer."""
        return KINDS.get(self.scheme) or Kind(f"stores of kind {self.scheme}")

    def __str__(self) -> str:
        return f"{self.scheme}://{f'{self.conn_id}@' if self.conn_id else ''}{self.root}"


def destination_url(given: object, *, single_writer: bool = False) -> DestinationUrl:
    """Read the text of a destination.

    :param given: the text, its templates rendered.
    :param single_writer: True: stores that cannot compare and swap are accepted. Default False.
    :raises CleverSettingsError: it does not name exactly one place; the message says why, and how to write one.
    """
    if not isinstance(given, str):
        raise CleverSettingsError(f"destination is {_type(given)}, not text. {HOW_TO_WRITE_ONE}.")
    problem = _problem_of_text(given)
    if problem is None:
        try:
            return _read(given, single_writer=single_writer)
        except _RefusedError as refused:
            problem = str(refused)
    raise CleverSettingsError(
        f"destination {shown_destination(given)!r} cannot be used: {problem}. {HOW_TO_WRITE_ONE}."
    )


def check_before_rendering(given: str, *, single_writer: bool = False) -> None:
    """Refuse a wrong destination when a DAG is parsed; a template is checked once it is rendered.

    :param single_writer: as of :func:`destination_url`.
    :raises CleverSettingsError: as :func:`destination_url`.
    """
    if not _TEMPLATE.search(given):
        destination_url(given, single_writer=single_writer)


def path_as_url(given: str) -> str:
    """Give the URL of an absolute local path; any other text as it is."""
    return f"file://{given}" if given.startswith("/") else given


class _RefusedError(Exception):
    """Says why a text names no destination."""


_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_CONN_ID: Final = re.compile(r"[\w.-]+", re.ASCII)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EMPTIED: Final = frozenset({"none", "null", "undefined", "nan"})
"""How templates, JSON and data tables write a missing value, in upper or lower case."""
_OURS: Final = re.compile(r"/(?:(?:attendance(?:_by_month)?|schools)/district=|_clever(?:/|$))")

_DECOMPOSED: Final = (
    "it holds a letter and its accent apart (not Unicode's form NFC), so it is another name than it looks; type it "
    "again, or choose plain letters"
)
_NOT_FILLED_IN: Final = "it was not filled in: a template, variable or placeholder stands where its value should"
_CHARACTERS: Final[tuple[tuple[str, str], ...]] = (
    ("\\", "it holds a backslash; folders are parted by /"),
    ("?", "it holds a query or a wildcard (?); name one place alone"),
    ("#", "it holds a fragment (#); name one place alone"),
    ("{}$<>", _NOT_FILLED_IN),
    ("%", "it holds %, and nothing is decoded or filled in here; write each letter as it is"),
    ("*[]", "it holds a wildcard (*, [ or ]); name one place alone"),
    ('"`|^', 'it holds a character that no store takes well (", `, | or ^)'),
)
"""Characters that a shell, a store or a library may read in its own way, and so land in another place."""


def _problem_of_text(text: str) -> str | None:
    """Say what is wrong with any part of a text."""
    tests: tuple[tuple[Callable[[str], object], str], ...] = (
        (lambda text: not text.strip(), "it is empty; a template or a variable may have come out empty"),
        (lambda text: text.strip().lower() in _EMPTIED, "a template or a variable came out empty"),
        (lambda text: any(map(_is_invisible, text)), "it holds an invisible character or an unusual blank"),
        (lambda text: text != text.strip(), "it begins or ends with a blank"),
        (lambda text: not unicodedata.is_normalized("NFC", text), _DECOMPOSED),
        (lambda text: text.startswith("~"), "~ is another folder for each user; write the folder in full"),
        (lambda text: len(text.encode()) > LONGEST_BYTES, f"it is longer than {LONGEST_BYTES} bytes"),
    )
    for is_wrong, problem in tests:
        if is_wrong(text):
            return problem
    return next((problem for letters, problem in _CHARACTERS if any(letter in text for letter in letters)), None)


def _is_invisible(letter: str) -> bool:
    return letter != " " and unicodedata.category(letter)[0] in "CZ"


def _read(text: str, *, single_writer: bool) -> DestinationUrl:
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise _RefusedError(_without_scheme(text))
    scheme = scheme.lower()
    if scheme in _MISTAKEN:
        raise _RefusedError(_MISTAKEN[scheme])
    if scheme not in KINDS and not single_writer:
        raise _RefusedError(
            f"{scheme}:// is no kind of store that can write a file on condition that nobody else has changed it "
            "(another one takes single_writer=True)"
        )
    authority, _, path = rest.partition("/")
    names = _names(path)
    if scheme == "file":
        return DestinationUrl(scheme, None, _local_root(authority, names))
    conn_id, bucket = _conn_id_and_bucket(authority)
    _refuse_our_own("/".join(("", *names)))
    return DestinationUrl(scheme, conn_id, "/".join((bucket, *names)))


def _without_scheme(text: str) -> str:
    if text.startswith("/"):
        return f"it has no scheme; a path on this machine is written {path_as_url(text)}"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        return "its scheme is not followed by ://"
    return "it is a path without a scheme, so relative to whatever folder the worker runs in"


def _names(path: str) -> list[str]:
    """Split a path into the names of its folders; one slash may end it."""
    names = path.removesuffix("/").split("/") if path.removesuffix("/") else []
    for name in names:
        if problem := _problem_of_name(name):
            raise _RefusedError(problem)
    if not names and path == "/":
        raise _RefusedError(_DOUBLED)
    return names


_DOUBLED: Final = "it holds a doubled slash; a template or a variable may have come out empty"


def _problem_of_name(name: str) -> str | None:
    if not name:
        return _DOUBLED
    if name in {".", ".."}:
        return "it holds . or .. as a folder; write the path in full"
    if name != name.strip():
        return "a folder's name begins or ends with a blank"
    if name.lower() in _EMPTIED:
        return f"a folder is called {name}; a template or a variable may have come out empty"
    if len(name.encode()) > LONGEST_NAME_BYTES:
        return f"a folder's name is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def _local_root(authority: str, names: list[str]) -> str:
    if authority:
        raise _RefusedError(
            "what follows file:// is a host or a connection; a path on this machine has three slashes and needs neither"
        )
    if not names:
        raise _RefusedError("it names no folder; a template or a variable may have come out empty")
    root = "/".join(("", *names))
    _refuse_our_own(root)
    return root


def _refuse_our_own(path: str) -> None:
    if _OURS.search(path):
        raise _RefusedError(
            "it lies inside the folders that a destination itself holds (attendance/district=…, _clever); name the "
            "destination above them"
        )


def _conn_id_and_bucket(authority: str) -> tuple[str | None, str]:
    conn_id, has_one, bucket = authority.rpartition("@")
    if ":" in authority:
        raise _RefusedError(
            "it holds a colon where a connection and a bucket stand; put credentials, hosts and ports into an Airflow "
            "connection, and name that connection"
        )
    if has_one and bucket.endswith(".core.windows.net"):
        raise _RefusedError(
            "it names an account; put that into an Airflow connection: what stands before @ is the connection's id, "
            "what follows it is the container"
        )
    if has_one and not _CONN_ID.fullmatch(conn_id):
        raise _RefusedError("what stands before @ is no connection's id")
    for one in (conn_id, bucket):
        if one.lower() in _EMPTIED:
            raise _RefusedError(f"a connection or bucket is called {one}; a template may have come out empty")
    if not bucket:
        raise _RefusedError("it names no bucket or container; a template or a variable may have come out empty")
    if not _BUCKET.fullmatch(bucket):
        raise _RefusedError("no bucket or container can be called that")
    return conn_id or None, bucket


_SAFE_TO_SHOW: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[\w.-]+@)?[^:@]*")


def shown_destination(text: str) -> str:
    """Show the part of a text that cannot contain a password or a signature."""
    shown = re.split(r"[?#]", text)[0]
    if not _SAFE_TO_SHOW.fullmatch(shown):
        scheme, separator, _ = shown.partition("://")
        shown = f"{scheme}://…" if separator and _SCHEME.fullmatch(scheme) else "…"
    return shown if len(shown) <= 120 else f"{shown[:120]}…"


def _type(given: object) -> str:
    return "missing (None)" if given is None else f"of type {type(given).__name__}"
