"""Brings the tables of a district up to date once its partitions are clean, and removes their earlier states.

A month of a table knows which partitions it was made from. So after a sweep of the partitions, exactly those months may
hold what is to be forgotten whose partitions have changed since.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.forget.found import Found, Steps
from airflow_provider_clever.forget.receipts import TABLE, Touched
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.forgotten import read_forgotten
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.table.iceberg.catalogs import EMBEDDED, WAREHOUSE, embedded_tables
from airflow_provider_clever.table.landed_months import MonthName
from airflow_provider_clever.table.monthly_parquet import MonthlyParquet, month_path, parse_month_path
from airflow_provider_clever.table.registry import registrations
from airflow_provider_clever.table.updating import TableUpdate, UpdateRules

if TYPE_CHECKING:
    from airflow_provider_clever.table.schools import SchoolTable
    from airflow_provider_clever.table.table import Table

OpenTable: TypeAlias = Callable[[Mapping[str, str]], "Table"]
"""Opens a table as it was registered."""

_NEXT_STEP: Final = "see to what the message names, and run again"


class FedTables:
    """The tables of a district.

    :param objects: the destination.
    :param open_table: opens a table that lies elsewhere; None: none can be opened here.
    :param secret: makes the keyed hashes of forgotten students. Default: what the environment holds.
    :param today: the date.
    """

    def __init__(
        self, objects: Objects, district_id: str, *, open_table: OpenTable | None, secret: str | None, today: date
    ) -> None:
        self._objects = objects
        self._district_id = district_id
        self._open_table = open_table
        self._rules = UpdateRules(today=today, is_checked=True, forget_secret=lambda: secret)

    def preview(self, paths: Collection[str], found: Found) -> None:
        """Note which months would be made again, here and in other tables.

        :param paths: of all objects of the district.
        :param found: what a rehearsal would touch; collects what is found here.
        """
        changed: dict[MonthName, bool] = {}  # and whether a partition of it stays
        for path, touched in found.touched.items():
            if name := layout.parse_partition_path(path):
                month = MonthName(self._district_id, name.attendance_date[:7])
                changed[month] = changed.get(month, False) or touched.after is not None
        is_made = any(parse_month_path(path) for path in paths)
        months = [
            month_path(name) for name, stays in changed.items() if is_made and (stays or month_path(name) in paths)
        ]
        schools = layout.schools_path(self._district_id)
        for table in map(_shown, self._registered(found) if changed else ()):
            months += [f"{table}/{name.month}" for name in changed]
            months += [f"{table}/schools"] * (schools in found.touched)
        found.touched.update(dict.fromkeys(sorted(months), Touched(rows=0)))

    def reach(self, paths: Collection[str], found: Found, steps: Steps) -> None:
        """Bring all tables up to date with the partitions, which are clean by now.

        :param paths: of all objects of the district, as they were before.
        :param found: collects what was done, and what could not be.
        :param steps: records each step.
        """
        if any(parse_month_path(path) for path in paths):
            self._update(MonthlyParquet(self._objects), "", found, steps)
        for registration in self._registered(found):
            name = _shown(registration)
            try:
                if self._open_table is None:
                    found.could_not(
                        "tables in catalogs cannot be opened from here",
                        "run it by the command or the operator, where Airflow's connections are",
                        [name],
                    )
                    continue
                table = self._open_table(registration)
                if self._district_id in table.cursors(
                    [self._district_id]
                ):  # otherwise it was removed, and is not made again
                    self._update(table, name, found, steps)
                self._forget_past(table.forget_past, name, found)
                if table.schools is not None and self._is_forgotten():
                    self._forget_schools(table.schools, f"{name}/schools", found, steps)
            except CleverError as error:
                found.could_not(f"a table could not be opened or written ({error})", _NEXT_STEP, [name])

    def _update(self, table: "Table", shown: str, found: Found, steps: Steps) -> None:
        def path_of(month: str | None) -> str:
            return f"{shown}/{month}" if shown else month_path(MonthName(self._district_id, str(month)))

        due, _ = TableUpdate(self._objects, table, self._rules).due([self._district_id])
        if due:
            steps.announce({path_of(name.month): Touched(rows=0) for name in due})
        report = TableUpdate(self._objects, table, self._rules).run([self._district_id])
        left = {failure.month for failure in report.failures}
        for name in due:
            if not left & {None, name.month}:
                found.touched[path_of(name.month)] = Touched(rows=0)
                steps.done(path_of(name.month))
        if problem := report.problem():
            found.could_not(f"months of a table could not be made again ({problem})", _NEXT_STEP, map(path_of, left))

    def _is_forgotten(self) -> bool:
        """Whether the whole district is."""
        return read_forgotten(self._objects, self._district_id).tombstone is not None

    def _forget_schools(self, schools: "SchoolTable", shown: str, found: Found, steps: Steps) -> None:
        step = {shown: Touched(rows=0)} if schools.holds(self._district_id) else {}
        steps.announce(step)
        before = len(found.unreached)
        self._forget_past(schools.forget, shown, found)
        if step and len(found.unreached) == before:
            found.touched |= step
            steps.done(shown)

    def _forget_past(self, forget: Callable[[str], Sequence[str]], shown: str, found: Found) -> None:
        for text in forget(self._district_id):
            found.could_not(f"a table may hold more than its present state ({text})", _NEXT_STEP, [shown])

    def _registered(self, found: Found) -> list[dict[str, str]]:
        """List the tables that are recorded, and those in the embedded warehouse that have files of the district."""
        known: list[dict[str, str]] = []
        try:
            known = registrations(self._objects, self._district_id)
            if self._objects.local_path(WAREHOUSE) is None:
                return known
            lying = embedded_tables(self._district_id, self._objects.names_below(WAREHOUSE))
        except CleverError as error:
            found.could_not(f"which tables there are is not known ({error})", _NEXT_STEP, [self._district_id])
            return known
        embedded = ({"kind": "iceberg", "catalog": EMBEDDED, "table": name} for name in lying)
        return known + [one for one in embedded if one not in known]


def _shown(registration: Mapping[str, str]) -> str:
    """Give a table's name, as a receipt shows it."""
    return TABLE + "/".join(value for _, value in sorted(registration.items()))
