"""Brings a table up to date: makes each month again of which a partition has changed, and reads no other."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple

from airflow_provider_clever.exceptions import CleverError, CleverLandingError
from airflow_provider_clever.lake.forgotten import Denied, Forgotten, key_of, read_forgotten
from airflow_provider_clever.storage.daemons import in_order
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.cursors import Cursor, CursorUpdate, MonthCursor
from airflow_provider_clever.table.due import MonthsToDo, is_check_due, months_to_do
from airflow_provider_clever.table.landed_months import MonthName, landed_fingerprint, landed_months
from airflow_provider_clever.table.month_rows import MonthRows
from airflow_provider_clever.table.registry import register
from airflow_provider_clever.table.table import StagedMonth, Table

_STAGED_AT_ONCE: Final = 1
"""Months are written one after another, each with several partitions read at once: two months at once would save little
time, and take 40 MB more."""
_MOST_TIMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRules:
    """The options of an update.

    :param today: the date; it decides when months are compared again.
    :param is_rebuilt: make every month again. Default False.
    :param is_checked: compare every month with what has landed, whatever its mark is. Default False: once a week.
    :param forget_secret: gives the key of forgotten students' hashes; called only for districts with a pending request.
        Default: what the environment holds.
    """

    today: date
    is_rebuilt: bool = False
    is_checked: bool = False
    forget_secret: Callable[[], str | None] = lambda: None


class Failure(NamedTuple):
    """A district, or a month of it, that could not be brought up to date.

    :param month: None: the whole district.
    """

    district_id: str
    month: str | None
    error: CleverError


@dataclass(slots=True)
class UpdateReport:
    """What an update has done.

    :param districts: how many were compared.
    :param written: the months that were made, each with its number of rows.
    :param removed: the months that were removed.
    :param failures: what could not be brought up to date.
    """

    districts: int = 0
    written: dict[MonthName, int] = field(default_factory=dict)
    removed: set[MonthName] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)

    @property
    def has_changed(self) -> bool:
        """Whether the table is not what it was."""
        return bool(self.written or self.removed)

    def to_json(self) -> dict[str, Any]:
        """Give the report in figures, and the months that could not be brought up to date."""
        return {
            "districts": self.districts,
            "districts_changed": len({name.district_id for name in (*self.written, *self.removed)}),
            "months_written": len(self.written),
            "months_removed": len(self.removed),
            "rows_written": sum(self.written.values()),
            "failures": [{"district_id": one.district_id, "month": one.month} for one in self.failures],
        }

    def problem(self) -> CleverError | None:
        """Give the error that names what could not be brought up to date. None: all was."""
        if not self.failures:
            return None
        first = self.failures[0]
        districts = list(dict.fromkeys(one.district_id for one in self.failures))
        shown = ", ".join(districts[:_SHOWN]) + (f" and {len(districts) - _SHOWN} more" if districts[_SHOWN:] else "")
        text = f"The table is not up to date for {len(districts)} of {self.districts} districts ({shown})"
        error = next((one.error for one in self.failures if not one.error.permanent), first.error)
        return error.saying(f"{text}: {first.error}".rstrip(".") + ". All others are up to date")


_SHOWN: Final = 10


class _Plan(NamedTuple):
    """What an update has to do for a district, and what it knew of it then."""

    district_id: str
    months: tuple[str, ...]
    marks: Mapping[str, str | None]
    update: CursorUpdate
    forgotten: Forgotten
    denied: Denied | None = None


class TableUpdate:
    """Brings a table up to date with what landed at a destination.

    A district that cannot be read is reported, and the others are updated. The requests to forget are read before, and
    again after the last commit: if there are new ones, the months that were written meanwhile are made again.

    :param objects: the destination.
    :param table: the table to bring up to date.
    :param rules: the options.
    :param progress: is called with each month that was made. Default: nothing is called.
    """

    def __init__(
        self,
        objects: Objects,
        table: Table,
        rules: UpdateRules,
        *,
        progress: Callable[[MonthName, int], None] = lambda *_: None,
    ) -> None:
        self._objects = objects
        self._table = table
        self._rules = rules
        self._progress = progress
        self._report = UpdateReport()
        self._registered: set[str] = set()
        self._forgotten: dict[str, Forgotten] = {}

    def run(self, district_ids: Collection[str]) -> UpdateReport:
        """Bring the months of districts up to date.

        :param district_ids: the districts.
        :raises CleverLandingError: the table cannot be read or written.
        """
        self._report.districts = len(set(district_ids))
        again: Mapping[str, Collection[str]] = dict.fromkeys(district_ids, ())
        for _ in range(_MOST_TIMES):
            if not again:
                return self._report
            again = self._round(again)
        raise CleverLandingError("What is to be forgotten kept changing while the table was written; run it again")

    def due(self, district_ids: Collection[str]) -> tuple[list[MonthName], UpdateReport]:
        """Give the months that would be made or removed, and what cannot be read; the table is not written.

        :raises CleverLandingError: the table cannot be read.
        """
        self._report.districts = len(set(district_ids))
        due = [
            MonthName(plan.district_id, month)
            for plan in self._plans(dict.fromkeys(district_ids, ()))
            for month in sorted({*plan.months, *plan.update.removed})
        ]
        return due, self._report

    def _round(self, districts: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
        """Run one round. Give the districts with new requests to forget since, and the months that the round wrote."""
        commit = _Commit(self._table)
        written: dict[str, set[str]] = {}

        def jobs() -> Iterator[tuple[_Plan, str]]:
            for plan in self._plans(districts):
                self._forgotten[plan.district_id] = plan.forgotten
                commit.add_plan(plan)
                yield from ((plan, month) for month in plan.months)

        for plan, month, staged in in_order(lambda job: self._staged(*job), jobs(), most=_STAGED_AT_ONCE):
            if isinstance(staged, CleverError):
                self._report.failures.append(Failure(plan.district_id, month, staged))
                continue
            commit.add_month(plan, staged)
            written.setdefault(plan.district_id, set()).add(month)
            self._report.written[staged.name] = staged.rows
            self._progress(staged.name, staged.rows)
            if len(commit.staged) >= self._table.months_per_commit:
                self._keep(commit)
        self._keep(commit)
        return {district_id: months for district_id, months in written.items() if self._has_more_to_forget(district_id)}

    def _plans(self, districts: Mapping[str, Collection[str]]) -> Iterator[_Plan]:
        """Plan what to do, district by district; several are compared at a time."""
        cursors = self._table.cursors(list(districts))

        def planned(job: tuple[str, Collection[str]]) -> tuple[str, _Plan | CleverError]:
            district_id, again = job
            try:
                return district_id, self._planned(district_id, cursors.get(district_id, Cursor()), again)
            except CleverError as error:
                return district_id, error

        for district_id, plan in in_order(planned, districts.items()):
            if isinstance(plan, CleverError):
                self._report.failures.append(Failure(district_id, None, plan))
            else:
                yield plan

    def _planned(self, district_id: str, cursor: Cursor, again: Collection[str]) -> _Plan:
        forgotten = read_forgotten(self._objects, district_id)
        if forgotten.tombstone is not None:
            return _Plan(district_id, (), {}, CursorUpdate(removed=frozenset(cursor.months)), forgotten)
        # If no request is pending, sweeps have removed the rows from the partitions, so there is nothing to leave out.
        is_pending = bool(forgotten.pending_students)
        denied = forgotten.denied(key_of(self._rules.forget_secret(), district_id)) if is_pending else None
        landed = landed_months(self._objects, district_id, self._rules.today)
        is_checked = self._rules.is_checked or is_check_due(district_id, cursor.checked_on, self._rules.today)
        to_do = months_to_do(landed, cursor, is_rebuilt=self._rules.is_rebuilt, is_checked=is_checked)
        due, marks = self._compared(district_id, to_do, cursor, landed)
        due = sorted({*due, *(month for month in again if month in landed)})
        # A month that is due stays due until it is written, whatever its mark is.
        marks |= {month: cursor.months[month]._replace(mark=None) for month in due if month in cursor.months}
        update = CursorUpdate(
            removed=frozenset(to_do.removed),
            marks=marks,
            checked_on=self._rules.today.isoformat() if is_checked else None,
        )
        return _Plan(district_id, tuple(due), landed, update, forgotten, denied)

    def _compared(
        self, district_id: str, to_do: MonthsToDo, cursor: Cursor, landed: Mapping[str, str | None]
    ) -> tuple[list[str], dict[str, MonthCursor]]:
        """Compare the doubtful months. Give those that are due, and the new marks of the others."""
        due, marks = list(to_do.due), {}

        def compared(month: str) -> tuple[str, str | CleverError]:
            try:
                return month, landed_fingerprint(self._objects, MonthName(district_id, month))
            except CleverError as error:
                return month, error

        for month, fingerprint in in_order(compared, to_do.doubtful):
            known = cursor.months[month]
            if isinstance(fingerprint, CleverError):
                self._report.failures.append(Failure(district_id, month, fingerprint))
            elif fingerprint != known.fingerprint:
                due.append(month)
            elif landed[month] != known.mark:
                marks[month] = known._replace(mark=landed[month])
        return due, marks

    def _staged(self, plan: _Plan, month: str) -> tuple[_Plan, str, StagedMonth[Any] | CleverError]:
        try:
            rows = MonthRows(self._objects, MonthName(plan.district_id, month), plan.denied)
            return plan, month, self._table.stage(rows)
        except CleverError as error:
            return plan, month, error

    def _keep(self, commit: "_Commit") -> None:
        if self._table.registration is not None:
            new = {one.name.district_id for one in commit.staged} - self._registered
            for _ in in_order(lambda one: register(self._objects, one, self._table.registration or {}), new):
                pass
            self._registered |= new
        self._report.removed |= commit.removed
        commit.make()

    def _has_more_to_forget(self, district_id: str) -> bool:
        """Whether there is a new request to forget since the district's rows were read."""
        before, now = self._forgotten[district_id], read_forgotten(self._objects, district_id)
        return bool(now.requests.keys() - before.requests.keys() or now.students - before.students) or (
            now.tombstone is not None and before.tombstone is None
        )


class _Commit:
    """Collects the next commit."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._updates: dict[str, CursorUpdate] = {}
        self.staged: list[StagedMonth[Any]] = []
        self.removed: set[MonthName] = set()

    def add_plan(self, plan: _Plan) -> None:
        """Add what a plan changes apart from the months that are written."""
        update = plan.update
        if update != CursorUpdate():
            self._updates[plan.district_id] = update
        self.removed |= {MonthName(plan.district_id, month) for month in update.removed}

    def add_month(self, plan: _Plan, staged: StagedMonth[Any]) -> None:
        """Add a written month."""
        month = staged.name.month
        before = self._updates.get(plan.district_id, CursorUpdate())
        written = {**before.written, month: MonthCursor(staged.fingerprint, plan.marks[month])}
        self._updates[plan.district_id] = CursorUpdate(
            written=written, removed=before.removed, marks=before.marks, checked_on=before.checked_on
        )
        self.staged.append(staged)

    def make(self) -> None:
        """Commit, if there is a change."""
        if self._updates:
            self._table.commit(self.staged, self.removed, self._updates)
        self.staged, self.removed, self._updates = [], set(), {}
