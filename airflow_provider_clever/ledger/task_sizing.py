"""Cuts what to pull into tasks: few, none too long, the days that Clever deletes first in front. No I/O.

A task can ask for one range of days, of any number of schools. Every question ends on a page that is only partly full,
so what is cut must be long enough for that not to matter.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from airflow_provider_clever.dates import DateRange

PAGE_ROWS: Final = 1000
"""The most rows that one request brings (clever-api.md 2.6)."""

_PAGES_PER_CUT: Final = 40
"""A school's range is cut in time only into pieces of so many pages: then a cut costs about 1 % of them."""

_ALLOWANCES: Final = (0.04, 0.3, 2.0, math.inf)
"""How many more requests than necessary a group may make, as a share. The next value is tried if there are too many
tasks."""

TASK_REQUESTS: Final = 600
"""How many requests a task should make: it then takes half a minute or more, and its start-up costs little."""


@dataclass(frozen=True, slots=True)
class MappingLimits:
    """What the running Airflow lets a mapped task have.

    :param max_map_length: how many tasks it is expanded into at most; default 1,024.
    :param parallelism: how many tasks of all DAGs run at once; default 32; 0: any number.
    :param max_active_tasks: how many tasks of one DAG run at once; default 16; 0: any number.
    """

    max_map_length: int = 1024
    parallelism: int = 32
    max_active_tasks: int = 16

    @property
    def task_requests(self) -> int:
        """How many requests a task should make.

        Where tasks run one after another, the token's budget is idle while one starts, so each should do more.
        """
        return 2 * TASK_REQUESTS if 1 in (self.parallelism, self.max_active_tasks) else TASK_REQUESTS

    def __str__(self) -> str:
        at_once = min(filter(None, (self.parallelism, self.max_active_tasks)), default=0)
        running = f", {at_once:,} of them at once" if at_once else ""
        return f"Airflow maps over at most {self.max_map_length:,}{running}"


def batches_of(ids: Sequence[str], batch_size: int, most_batches: int) -> list[list[str]]:
    """Cut a list into batches of a size; into larger ones if there were too many batches."""
    size = max(batch_size, math.ceil(len(ids) / most_batches))
    return [list(ids[at : at + size]) for at in range(0, len(ids), size)]


class SchoolSpan(NamedTuple):
    """Days to ask for of one school.

    :param rows_per_weekday: how many rows are expected; 0 if not known.
    """

    school_id: str
    span: DateRange
    rows_per_weekday: float


@dataclass(frozen=True, slots=True)
class PullTask:
    """One pull: some schools, one range of days.

    :param requests: how many requests it is expected to take.
    """

    school_ids: tuple[str, ...]
    span: DateRange
    requests: int

    def arguments(self) -> dict[str, object]:
        """Give the arguments of the pulling task."""
        return {
            "school_ids": list(self.school_ids),
            "date_range_start": self.span.first.isoformat(),
            "date_range_end": self.span.last.isoformat(),
            "expected_requests": self.requests,
        }


def expected_requests(span: DateRange, rows_per_weekday: float) -> int:
    """Give how many pages a school's days are expected to fill; at least one, since it takes a request to find none."""
    return max(1, math.ceil(span.weekdays * rows_per_weekday / PAGE_ROWS))


def sized_tasks(wanted: Iterable[SchoolSpan], *, task_requests: int, most_tasks: int) -> list[PullTask]:
    """Give the tasks that ask for all of this, the oldest days first.

    :param wanted: what to ask for; a school may come more than once.
    :param task_requests: how many requests a task should make at most. It makes more if there were too many tasks.
    :param most_tasks: how many tasks there may be.
    """
    ordered = sorted(wanted, key=lambda one: (one.span, one.school_id))
    groups: list[_Group] = []
    for allowance in _ALLOWANCES:
        groups = _grouped(ordered, allowance)
        if len(groups) <= most_tasks:
            break
    while True:
        tasks = [task for group in groups for task in _cut(group, task_requests)]
        if len(tasks) <= most_tasks:
            return sorted(tasks, key=lambda task: (task.span, task.school_ids))
        task_requests *= 2


@dataclass(slots=True)
class _Group:
    """Schools that are asked for the same days.

    :param rows: their rows per weekday, by id.
    :param requests: how many requests these days take.
    :param least: how many requests the days that each of them needs would take.
    """

    span: DateRange
    rows: dict[str, float]
    requests: int
    least: int

    @classmethod
    def of(cls, one: SchoolSpan) -> "_Group":
        requests = expected_requests(one.span, one.rows_per_weekday)
        return cls(one.span, {one.school_id: one.rows_per_weekday}, requests, requests)

    def take(self, one: SchoolSpan, allowance: float) -> bool:
        """Add another school if asking for the same days is cheap enough."""
        union = DateRange(min(self.span.first, one.span.first), max(self.span.last, one.span.last))
        requests = self.requests if union == self.span else _requests(union, self.rows.values())
        if one.school_id not in self.rows:
            requests += expected_requests(union, one.rows_per_weekday)
        least = self.least + expected_requests(one.span, one.rows_per_weekday)
        if requests > (1 + allowance) * least:
            return False
        self.rows[one.school_id] = one.rows_per_weekday
        self.span, self.requests, self.least = union, requests, least
        return True


def _requests(span: DateRange, rows_per_weekday: Iterable[float]) -> int:
    return sum(expected_requests(span, rows) for rows in rows_per_weekday)


def _grouped(ordered: Sequence[SchoolSpan], allowance: float) -> list[_Group]:
    groups: list[_Group] = []
    for one in ordered:
        if not (groups and groups[-1].take(one, allowance)):
            groups.append(_Group.of(one))
    return groups


def _cut(group: _Group, task_requests: int) -> Iterator[PullTask]:
    """Cut a group in time as far as that costs little, so that what expires first comes first; the rest by schools."""
    pages_each = group.requests // len(group.rows)
    cuts = min(math.ceil(group.requests / task_requests), pages_each // _PAGES_PER_CUT)
    for span in group.span.cut(cuts):
        pages = {school_id: expected_requests(span, group.rows[school_id]) for school_id in sorted(group.rows)}
        light = {school_id: count for school_id, count in pages.items() if count <= task_requests / 2}
        yield from _shared_out(span, light, task_requests)
        for school_id in pages.keys() - light.keys():
            for piece in span.cut(math.ceil(pages[school_id] / task_requests)):
                yield PullTask((school_id,), piece, expected_requests(piece, group.rows[school_id]))


def _shared_out(span: DateRange, pages: Mapping[str, int], task_requests: int) -> Iterator[PullTask]:
    """Share schools out to tasks of about as many pages each."""
    total = sum(pages.values())
    batches = math.ceil(total / task_requests)
    members: list[list[str]] = [[] for _ in range(batches)]
    before = 0
    for school_id, count in pages.items():
        members[(before + count // 2) * batches // total].append(school_id)
        before += count
    for school_ids in filter(None, members):
        yield PullTask(tuple(school_ids), span, sum(pages[school_id] for school_id in school_ids))
