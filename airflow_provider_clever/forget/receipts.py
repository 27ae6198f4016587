"""The receipt of what was forgotten: the proof, and the journal from which a killed run continues.

It names an object before that object is changed, so a killed run has changed nothing that its receipt does not name.
docs/reference/forgetting.md documents every field. It holds no id of a student.
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
"""The prefix that names a table outside of the destination."""

ELSEWHERE: Final = (
    "backups and snapshots of the store: let them expire, or remove them with the tool that made them",
    "replicas of the bucket, and its access logs: see the store's own settings",
    "copies that others made: tables, exports, reports; a reader of the correction feed removes the rows there",
    "without a destination: rows in XCom lie in Airflow's metadata database until the run is deleted",
)
"""Copies that this package cannot see, with any store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What became of an object.

    :param rows: how many rows were removed.
    :param before: content hash of the partition before; None: it is no partition, or it could not be read.
    :param after: content hash afterwards; None: the object is removed, or it is no partition.
    """

    rows: int
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One sweep.

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
    :param touched: what became of each object, by its path; several times if its rows came back in between.
    :param underway: steps that were announced and are not yet recorded as done.
    :param unreached: what the last sweep could not reach.
    :param changes: the change records that were written for the correction feed.
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
        """Whether a sweep has reached everything that is known of."""
        return bool(self.sweeps) and not self.unreached

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many objects were touched and how many rows were removed, by kind."""
        return counts_of(self.touched)

    def to_json(self) -> dict[str, Any]:
        """Give the receipt as values that can be written as JSON."""
        verdict = "complete" if self.is_complete else "incomplete"
        return asdict(self) | {"completeness": verdict, "counts": self.counts}

    def summary(self) -> dict[str, Any]:
        """Give what a program needs of it, without the single objects."""
        names = ("district_id", "kind", "students", "state", "completeness", "final_after", "counts", "unreached")
        document = self.to_json()
        return {name: document[name] for name in names} | {"receipt": self.path}


def counts_of(touched: Mapping[str, Iterable[Touched]]) -> dict[str, dict[str, int]]:
    """How many objects were touched and how many rows were removed, by kind."""
    objects: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for path, found in touched.items():
        kind = path_kind(path)
        objects[kind] += 1
        rows[kind] += sum(one.rows for one in found)
    return {kind: {"objects": objects[kind], "rows": rows[kind]} for kind in sorted(objects)}


def path_kind(path: str) -> str:
    """Tell what kind of object a path in a receipt names."""
    if "?version=" in path:
        return "old_versions"
    if path.startswith(TABLE):
        return "tables"
    if path.endswith(".tmp"):
        return "temporary_files"
    return kind_of(path)


def folder(district_id: str) -> str:
    """Give the folder of a district's forget receipts, relative to the destination."""
    return layout.our_path(district_id, "forgotten")


def receipt_path(district_id: str, request_id: str) -> str:
    """Give the path of a request's receipt, relative to the destination."""
    return f"{folder(district_id)}/{request_id}.json.gz"


def new_receipt(district_id: str, request_id: str, request: Request) -> ForgetReceipt:
    """Make the receipt of a request for which no sweep has begun."""
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
    """Read the receipt of a request. None: no sweep has begun for it.

    :raises CleverLandingError: it cannot be read.
    """
    path = receipt_path(district_id, request_id)
    found = objects.read(path)
    return parsed(path, found[0]) if found else None


def parsed(path: str, data: bytes) -> ForgetReceipt:
    """Parse a receipt.

    :raises CleverLandingError: these bytes are no receipt.
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
    """Keeps a receipt up to date: each step is announced before it is taken, so a kill hides nothing.

    :param objects: the destination.
    :param receipt: as it stands there now.
    """

    def __init__(self, objects: Objects, receipt: ForgetReceipt) -> None:
        self._objects = objects
        self.receipt = receipt
        self._announced: dict[str, Touched] = {}
        self._done: list[tuple[str, Touched]] = []

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """Write the steps that are about to be taken, and those that were taken since the last call."""
        self._update(steps)
        self._announced = dict(steps)

    def done(self, path: str) -> None:
        """Note that the step announced for an object has been taken."""
        self._done.append((path, self._announced[path]))

    def end(
        self, request: Request, sweep: Sweep, changes: Iterable[str], unreached: Iterable[Unreached], *, is_final: bool
    ) -> ForgetReceipt:
        """Write that a sweep has ended.

        A step that an earlier, killed sweep had announced, and that this one did not need to take, was taken by it.

        :param request: as it is asked now: a student who was lifted may have been forgotten again.
        """

        def ended(receipt: ForgetReceipt) -> ForgetReceipt:
            is_same = receipt.asked_at == request.asked_at
            was_final = is_same and receipt.state == "final"  # by a sweep that began later and ended earlier
            return replace(
                receipt,
                asked_at=request.asked_at,
                final_after=request.final_after,
                students=len(request.students),
                touched=_joined(receipt.touched, receipt.underway.items()),
                underway={},
                sweeps=(*receipt.sweeps, sweep),
                changes=tuple(dict.fromkeys((*receipt.changes, *changes))),
                unreached=tuple(unreached),
                state="final" if is_final or was_final else "pending",
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
