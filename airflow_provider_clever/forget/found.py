"""What a sweep has found, and the journal that records its steps."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol, TypeVar

from airflow_provider_clever.forget.receipts import Touched, Unreached

One = TypeVar("One")

READERS: Final = 8
"""How many objects are read at once."""
AT_ONCE: Final = 64
"""How many objects are announced together before they are written."""
_NAMED: Final = 20


class Steps(Protocol):
    """Records each step before and after it is taken: the journal of a receipt."""

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """Record that these steps are about to be taken."""

    def done(self, path: str) -> None:
        """Record that this step has been taken."""


class Unrecorded:
    """Records nothing."""

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """Record nothing."""

    def done(self, path: str) -> None:
        """Record nothing."""


@dataclass(slots=True)
class Found:
    """What a sweep has found.

    :param touched: what became of each object, or would in a rehearsal, by its path.
    :param unreached: what could not be read or removed.
    :param changes: paths of the change records that were written.
    :param read: how many objects were read.
    :param students: hashes of the students whose rows were found.
    """

    touched: dict[str, Touched] = field(default_factory=dict)
    unreached: list[Unreached] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    read: int = 0
    students: set[str] = field(default_factory=set)

    def could_not(self, what: str, next_step: str, names: Iterable[str]) -> None:
        """Note objects that could not be reached, if there are any."""
        found = list(names)
        if found:
            self.unreached.append(
                Unreached(what=what, next_step=next_step, count=len(found), names=tuple(found[:_NAMED]))
            )


def slices(things: Iterable[One], size: int) -> Iterator[list[One]]:
    """Split into lists of this size; the last one may be shorter."""
    iterator = iter(things)
    while some := list(islice(iterator, size)):
        yield some
