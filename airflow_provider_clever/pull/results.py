"""What a pull did: for each school or section, and over all its walks."""

from collections import Counter
from dataclasses import dataclass, field

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.exceptions import CleverError


@dataclass(slots=True)
class ScopeResult:
    """What a pull did for one school or section.

    :param scope_id: the school or section.
    :param received: rows that Clever sent, with those that were set aside.
    :param rejected: rows that were set aside.
    :param pages: pages that Clever sent.
    :param covered: the days that came out complete.
    :param doubted: the same, of walks with an answer that names another question; to be judged when all is known.
    :param is_doubted: whether there was such an answer.
    :param newest_date: the newest attendance date seen, ISO text; None without rows.
    :param not_landed: days of a complete walk that did not land, ISO text; they do not count as covered.
    :param errors: what ended walks before their end, or kept a day from landing.
    """

    scope_id: str
    received: int = 0
    rejected: int = 0
    pages: int = 0
    covered: list[DateRange] = field(default_factory=list)
    doubted: list[DateRange] = field(default_factory=list)
    is_doubted: bool = False
    not_landed: set[str] = field(default_factory=set)
    newest_date: str | None = None
    errors: list[CleverError] = field(default_factory=list)


@dataclass(slots=True)
class PullResult:
    """What a pull did, over all its walks.

    :param scopes: per school or section, in the order in which they were asked for.
    :param equal_keys: rows whose key was that of the last row of the page before.
    :param surrogates_replaced: broken characters that were replaced.
    :param unknown_values: per enum field, rows with a value that the documentation does not name.
    """

    scopes: dict[str, ScopeResult]
    equal_keys: int = 0
    surrogates_replaced: int = 0
    unknown_values: Counter[str] = field(default_factory=Counter)

    @property
    def received(self) -> int:
        """Rows that Clever sent."""
        return sum(scope.received for scope in self.scopes.values())

    @property
    def errors(self) -> list[CleverError]:
        """What ended walks before their end."""
        return [error for scope in self.scopes.values() for error in scope.errors]
