"""The receipt of what was forgotten: the proof, and the memory that lets a killed run go on.

It is written before the objects are that it speaks of, so that whatever is killed, nothing was changed that it does not
name. docs/reference/forgetting.md documents every field. It holds no id of a student.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.forget.rules import kind_of
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import Kind, Request
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.objects import Objects

SCHEMA_VERSION: Final = 1

TABLE: Final = "table:"
"""How the name of a table begins that lies elsewhere than at the destination."""

ELSEWHERE: Final = (
    "backups and snapshots of the store: let them expire, or remove them with the tool that made them",
    "replicas of the bucket, and its access logs: see the store's own settings",
    "copies that others made: tables, exports, reports; a reader of the correction feed removes the rows there",
    "without a destination: rows in XCom lie in Airflow's metadata database until the run is deleted",
)
"""What nothing here can see, whatever the store is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What became of an object.

    :param rows: how many rows went.
    :param before: content hash of the partition before; None: it is no partition, or it could not be read.
    :param after: the same afterwards; None: the object is removed, or it is no partition.
    """

    rows: int
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One time that everything was gone through.

    :param command: what ran it; never its arguments.
    :param read: how many objects were read.
    """

    started_at: str
    ended_at: str
    command: str
    versions: dict[str, str]
    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """What could not be forgotten.

    :param what: in words.
    :param next_step: what a person can do.
    :param count: how many objects.
    :param names: of the first of them, relative to the destination.
    """

    what: str
    next_step: str
    count: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetReceipt:
    """What was asked, what was done, and what is left.

    :param students: how many were asked for.
    :param before: the first day that stays, where days were asked for.
    :param touched: what became of each object, by its path; more than once, if its rows had come back in between.
    :param underway: what was announced, and not yet reported as done.
    :param unreached: what the last sweep could not reach.
    :param changes: records of the correction feed that lead from the rows before to those after.
    """

    id: str
    kind: Kind
    district_id: str
    asked_at: str
    final_after: str
    state: Literal["pending", "final"] = "pending"
    students: int = 0
    before: str | None = None
    sweeps: tuple[Sweep, ...] = ()
    touched: dict[str, tuple[Touched, ...]] = field(default_factory=dict)
    underway: dict[str, Touched] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    elsewhere: tuple[str, ...] = ELSEWHERE
    schema_version: int = SCHEMA_VERSION

    @property
    def path(self) -> str:
        """Where it is kept, relative to the destination."""
        return receipt_path(self.district_id, self.id)

    @property
    def is_complete(self) -> bool:
        """Whether nothing that is known of could not be reached."""
        return bool(self.sweeps) and not self.unreached

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many objects were touched and how many rows went, by kind."""
        return counts_of(self.touched)

    def to_json(self) -> dict[str, Any]:
        """The receipt as values that JSON has a form for."""
        verdict = "complete" if self.is_complete else "incomplete"
        return asdict(self) | {"completeness": verdict, "counts": self.counts}

    def summary(self) -> dict[str, Any]:
        """What a program has to know of it, without the objects one by one."""
        names = ("district_id", "kind", "students", "state", "completeness", "final_after", "counts", "unreached")
        document = self.to_json()
        return {name: document[name] for name in names} | {"receipt": self.path}


def counts_of(touched: Mapping[str, Iterable[Touched]]) -> dict[str, dict[str, int]]:
    """How many objects were touched and how many rows went, by kind."""
    objects: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for path, found in touched.items():
        kind = path_kind(path)
        objects[kind] += 1
        rows[kind] += sum(one.rows for one in found)
    return {kind: {"objects": objects[kind], "rows": rows[kind]} for kind in sorted(objects)}


def path_kind(path: str) -> str:
    """What kind of object a path of a receipt speaks of."""
    if "?version=" in path:
        return "old_versions"
    if path.startswith(TABLE):
        return "tables"
    if path.endswith(".tmp"):
        return "temporary_files"
    return kind_of(path)


def folder(district_id: str) -> str:
    """The folder of a district's forget receipts, relative to the destination."""
    return layout.our_path(district_id, "forgotten")


def receipt_path(district_id: str, request_id: str) -> str:
    """Where the receipt of a request is kept, relative to the destination."""
    return f"{folder(district_id)}/{request_id}.json.gz"


def new_receipt(district_id: str, request_id: str, request: Request) -> ForgetReceipt:
    """The receipt of a request that nothing was done about yet."""
    return ForgetReceipt(
        id=request_id,
        kind=request.kind,
        district_id=district_id,
        asked_at=request.asked_at,
        final_after=request.final_after,
        students=len(request.students),
        before=request.before,
    )


def read_receipt(objects: Objects, district_id: str, request_id: str) -> ForgetReceipt | None:
    """The receipt of a request; None: nothing was done about it yet.

    :raises CleverLandingError: it cannot be read.
    """
    path = receipt_path(district_id, request_id)
    found = objects.read(path)
    return parsed(path, found[0]) if found else None


def parsed(path: str, data: bytes) -> ForgetReceipt:
    """The receipt that these bytes are.

    :raises CleverLandingError: they are none.
    """
    try:
        document = read_gzipped_json(data)
        if document["schema_version"] <= SCHEMA_VERSION:
            return _adapter().validate_python(
                {name: value for name, value in document.items() if name not in ("completeness", "counts")}
            )
        why = "a newer version of airflow-provider-clever wrote it; upgrade this one"
    except (ValueError, TypeError, KeyError):  # pydantic's is a ValueError, and quotes what it found
        why = "it is not a receipt"
    raise CleverLandingError(f"{path} cannot be used: {why}. Restore an earlier version of it")


@cache
def _adapter() -> TypeAdapter[ForgetReceipt]:
    return TypeAdapter(ForgetReceipt)


class Journal:
    """Keeps a receipt in step with what is done: announced before it is done, so that a kill hides nothing.

    :param objects: the destination.
    :param receipt: as it stands there now.
    """

    def __init__(self, objects: Objects, receipt: ForgetReceipt) -> None:
        self._objects = objects
        self.receipt = receipt
        self._announced: dict[str, Touched] = {}
        self._done: list[tuple[str, Touched]] = []

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """Write down what is about to be done, and what has been done since the last call."""
        self._update(steps)
        self._announced = dict(steps)

    def done(self, path: str) -> None:
        """Note that what was announced of an object has been done."""
        self._done.append((path, self._announced[path]))

    def end(
        self, sweep: Sweep, changes: Iterable[str], unreached: Iterable[Unreached], *, is_final: bool
    ) -> ForgetReceipt:
        """Write down that a sweep has gone through everything.

        What an earlier, killed one had announced, and this one did not find to do, that one has done.
        """

        def ended(receipt: ForgetReceipt) -> ForgetReceipt:
            return replace(
                receipt,
                touched=_joined(receipt.touched, receipt.underway.items()),
                underway={},
                sweeps=(*receipt.sweeps, sweep),
                changes=tuple(dict.fromkeys((*receipt.changes, *changes))),
                unreached=tuple(unreached),
                state="final" if is_final else "pending",
            )

        self._update({}, ended)
        return self.receipt

    def _update(
        self, steps: Mapping[str, Touched], then: Callable[[ForgetReceipt], ForgetReceipt] = lambda receipt: receipt
    ) -> None:
        path = self.receipt.path

        def next_data(data: bytes | None) -> bytes:
            now = parsed(path, data) if data else self.receipt
            gone = {*self._announced, *steps}
            underway = {path: one for path, one in now.underway.items() if path not in gone} | dict(steps)
            self.receipt = then(replace(now, touched=_joined(now.touched, self._done), underway=underway))
            return gzipped_json(self.receipt.to_json())

        self._objects.update(path, next_data)
        self._done, self._announced = [], {}


def _joined(
    touched: Mapping[str, tuple[Touched, ...]], more: Iterable[tuple[str, Touched]]
) -> dict[str, tuple[Touched, ...]]:
    joined = dict(touched)
    for path, one in more:
        if one not in joined.get(path, ()):
            joined[path] = (*joined.get(path, ()), one)
    return joined
