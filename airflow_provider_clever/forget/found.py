"""What a sweep comes upon, and who is told of its steps."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol, TypeVar

from airflow_provider_clever.forget.receipts import Touched, Unreached

One = TypeVar("One")

READERS: Final = 8
"""How many objects are read at once."""
AT_ONCE: Final = 64
"""So many objects are announced, and then written, together."""
_NAMED: Final = 20


class Steps(Protocol):
    """Who is told of a step before and after it is taken: a receipt's journal."""

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """These are about to be taken."""

    def done(self, path: str) -> None:
        """This one has been taken."""


class Unrecorded:
    """Steps that nobody is told of."""

    def announce(self, steps: Mapping[str, Touched]) -> None:
        """Nobody."""

    def done(self, path: str) -> None:
        """Nobody."""


@dataclass(slots=True)
class Found:
    """What a sweep has come upon.

    :param touched: what became of each object, or would, by its path.
    :param unreached: what could not be read or removed.
    :param changes: paths of the change records that were written.
    :param read: how many objects were read.
    """

    touched: dict[str, Touched] = field(default_factory=dict)
    unreached: list[Unreached] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    read: int = 0

    def could_not(self, what: str, next_step: str, names: Iterable[str]) -> None:
        """Note what could not be reached, if there is anything."""
        found = list(names)
        if found:
            self.unreached.append(
                Unreached(what=what, next_step=next_step, count=len(found), names=tuple(found[:_NAMED]))
            )


def slices(things: Iterable[One], size: int) -> Iterator[list[One]]:
    """Lists of so many, the last one shorter."""
    iterator = iter(things)
    while some := list(islice(iterator, size)):
        yield some
