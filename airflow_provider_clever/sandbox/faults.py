"""Faults on order: which request is hit, and what happens to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from .identity import digest


@dataclass(frozen=True, slots=True)
class Received:
    """What a fault can look at to decide whether it hits a request.

    :param family: ``attendance``, ``districts``, ``schools``, ``sections``, ``users``, ``events``, ``oauth`` or
        ``other``.
    """

    method: str
    path: str
    query: str
    family: str
    authorization: str

    @property
    def token(self) -> str:
        """The bearer token that came with the request, or nothing."""
        kind, _, text = self.authorization.partition(" ")
        return text.strip() if kind.lower() == "bearer" else ""


CHOICES = {"body": ("json", "html", "empty"), "place": ("before", "after")}


@dataclass
class Fault:
    """One fault in the queue.

    :param kind: What happens; see ``fault_effects.KINDS``.
    :param family: Hit only requests of this path family.
    :param path: Hit only paths in which this regular expression is found.
    :param query: Hit only query strings in which this regular expression is found.
    :param token: Hit only requests with this bearer token.
    :param district_id: Hit only requests with this district's present token.
    :param school_id: Hit only paths that hold this id.
    :param nth: The first matching request to hit, counted from 1.
    :param every: After that, every so many matching requests.
    :param times: How many requests to hit; 0: without end.
    :param seconds: How long a slow, hanging or refusing fault lasts.
    :param body: ``json``, ``empty`` or ``html``, for error statuses.
    :param status: The status of kind ``status``.
    :param retry_after: Seconds in a ``Retry-After`` header; 0: none.
    :param reset_in: Seconds until the Reset that a 429 names.
    :param headers: Whether a 429 carries the rate-limit headers.
    :param host: Where ``next_foreign_host`` and ``redirect`` point to.
    :param defect: Which defect ``malformed_row`` puts into a row; see ``page_faults.DEFECTS``.
    :param row: The row of the page that a page fault touches.
    :param canary: The value of the unknown field that ``malformed_row`` adds.
    :param text: The message in the body of an error; default the status's own phrase.
    :param retry_after_text: The text of a ``Retry-After`` header, whatever it says (``0``, a date, nonsense).
    :param other_school_id: Whose page ``other_answer`` and ``stray_answer`` give.
    :param other_query: The query string that they take to have been asked.
    :param place: ``before`` or ``after``: where ``stray_answer`` puts its answer.
    """

    kind: str
    family: str = ""
    path: str = ""
    query: str = ""
    token: str = ""
    district_id: str = ""
    school_id: str = ""
    nth: int = 1
    every: int = 1
    times: int = 1
    seconds: float = 1.0
    body: str = "json"
    status: int = 500
    retry_after: int = 0
    reset_in: float = 1.0
    headers: bool = True
    host: str = "evil.example"
    defect: str = "missing_student_id"
    row: int = 0
    canary: str = "canary-value"
    text: str = ""
    retry_after_text: str = ""
    other_school_id: str = ""
    other_query: str = ""
    place: str = "before"
    id: int = field(default=0, kw_only=True)
    seen: int = field(default=0, kw_only=True)
    hits: int = field(default=0, kw_only=True)

    def matches(self, received: Received, token_of_district: Mapping[str, str]) -> bool:
        """Tell whether a request is one that this fault counts."""
        if self.family and self.family != received.family:
            return False
        if self.school_id and self.school_id not in received.path:
            return False
        if self.token and self.token != received.token:
            return False
        if self.district_id and token_of_district.get(self.district_id) != received.token:
            return False
        in_path = not self.path or re.search(self.path, received.path)
        return bool(in_path and (not self.query or re.search(self.query, received.query)))

    @property
    def is_spent(self) -> bool:
        """Whether the fault is used up."""
        return self.times > 0 and self.hits >= self.times

    def as_dict(self) -> dict[str, object]:
        """Give the fault for the control routes, the token as a fingerprint."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"token": digest(self.token) if self.token else ""}


class FaultQueue:
    """The faults that wait for their requests; one request is hit by one fault at most, the oldest first."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._next_id = 1

    def add(self, fault: Fault) -> Fault:
        """Queue a fault."""
        fault.id, self._next_id = self._next_id, self._next_id + 1
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self.faults.clear()

    def take(self, received: Received, token_of_district: Mapping[str, str]) -> Fault | None:
        """Give the fault that hits this request, if any."""
        for fault in self.faults:
            if fault.is_spent or not fault.matches(received, token_of_district):
                continue
            fault.seen += 1
            late = fault.seen - fault.nth
            if late >= 0 and late % max(1, fault.every) == 0:
                fault.hits += 1
                return fault
        return None


def parse_fault(wanted: Mapping[str, object], kinds: frozenset[str]) -> Fault:
    """Read a fault from a control request.

    :raises ValueError: the kind or a field is unknown, or a value has the wrong type.
    """
    allowed = {item.name: item for item in fields(Fault) if not item.kw_only}
    if unknown := set(wanted) - set(allowed):
        raise ValueError(f"A fault has no field {sorted(unknown)}; it has {sorted(allowed)}.")
    kind = wanted.get("kind")
    if kind not in kinds:
        raise ValueError(f"There is no fault {kind!r}; there are {sorted(kinds)}.")
    fault = Fault(str(kind))
    for name, given in wanted.items():
        default = getattr(fault, name)
        value = float(given) if isinstance(default, float) and isinstance(given, int) else given
        if type(value) is not type(default):
            raise ValueError(f"Fault field {name!r} takes a {type(default).__name__}.")
        setattr(fault, name, value)
    for name, choices in CHOICES.items():
        if getattr(fault, name) not in choices:
            raise ValueError(f"Fault field {name!r} takes one of {list(choices)}.")
    for pattern in (fault.path, fault.query):
        re.compile(pattern)
    return fault
