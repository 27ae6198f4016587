"""Collects rows that cannot land, and sends them to quarantine many at a time.

An object of the quarantine is written again as a whole for each addition. So rows are held until there are many, and of
a school of which most rows cannot land only the first are kept.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from airflow_provider_clever.api.pages import AttendancePage
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverLandingError, CleverRejectedRowsError

HELD_ROWS: Final = 100_000
"""How many rows are held, of all schools together, before they are set aside: some 60 MB, in the rare pull that has so
many; with fewer, each addition would write again what the ones before have written."""
ALWAYS_KEPT: Final = 1_000
"""How many rows of a school or section are kept, whatever part of its rows they are."""
_SHOWN_REASONS: Final = 3

SetAside: TypeAlias = Callable[[Mapping[str, Sequence[RejectedRow]]], object]
"""Takes rows that cannot land, by the id of their school or section."""


@dataclass(slots=True)
class _Scope:
    """The counts of one school or section.

    :param received: rows that Clever sent.
    :param rejected: how many of them cannot land.
    :param kept: how many of those are kept.
    :param reasons: how often each reason was given.
    """

    received: int = 0
    rejected: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def is_flooded(self) -> bool:
        """Whether more than half of its rows cannot land, and enough of them are kept."""
        return self.kept >= ALWAYS_KEPT and 2 * self.rejected > self.received


class RejectedRows:
    """The rows of a pull that cannot land. Safe to use from several threads.

    :param set_aside: takes them; never called from two threads at once.
    :param most_held: how many are held before they are set aside. Default 100,000.
    """

    def __init__(self, set_aside: SetAside, most_held: int = HELD_ROWS) -> None:
        self._most_held = most_held
        self._set_aside = set_aside
        self._lock = threading.Lock()
        self._setting_aside = threading.Lock()
        self._scopes: dict[str, _Scope] = defaultdict(_Scope)
        self._held: dict[str, list[RejectedRow]] = {}
        self._errors: dict[str, CleverLandingError] = {}
        self.are_landed = True
        """Whether the other rows land. If not, nothing is kept for long, and so all of these are held."""

    def take(self, scope_id: str, page: AttendancePage) -> None:
        """Count a page of a school or section, and hold its rejected rows, or set aside all that are held."""
        with self._lock:
            scope = self._scopes[scope_id]
            scope.received += len(page) + len(page.rejected)
            scope.rejected += len(page.rejected)
            scope.reasons.update(row.reason for row in page.rejected)
            if page.rejected and not (self.are_landed and scope.is_flooded):
                scope.kept += len(page.rejected)
                self._held.setdefault(scope_id, []).extend(page.rejected)
            is_full = sum(map(len, self._held.values())) >= self._most_held
        if is_full:
            self.hand_over()

    def hand_over(self) -> None:
        """Set aside the rows that are held."""
        with self._setting_aside:
            with self._lock:
                held, self._held = self._held, {}
            if not held:
                return
            try:
                self._set_aside(held)
            except CleverLandingError:
                for scope_id, rows in held.items():  # to know for which school rows could not be kept
                    self._try_again(scope_id, rows)

    def _try_again(self, scope_id: str, rows: Sequence[RejectedRow]) -> None:
        try:
            self._set_aside({scope_id: rows})
        except CleverLandingError as error:
            self._errors[scope_id] = error

    def errors(self) -> dict[str, CleverLandingError | CleverRejectedRowsError]:
        """By school or section: why rows of it that cannot land are not all kept. Its days are due again."""
        floods = {
            scope_id: CleverRejectedRowsError(
                f"{scope.rejected:,} of {scope.received:,} rows of {scope_id} cannot land; the first reasons are: "
                f"{'; '.join(reason for reason, _ in scope.reasons.most_common(_SHOWN_REASONS))}. Its other rows have "
                f"landed, and {scope.kept:,} of these are in the quarantine folder of the district; its days are due "
                "again. Look at them, and tell the district, or report it to Clever."
            )
            for scope_id, scope in self._scopes.items()
            if scope.rejected > scope.kept
        }
        return {**floods, **self._errors}
