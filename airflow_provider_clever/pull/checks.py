"""Does a page belong to its walk? What does not is set aside; what cannot be trusted ends the pull."""

from collections import Counter
from dataclasses import replace

from airflow_provider_clever.api.rows import AttendancePage
from airflow_provider_clever.api.usual_pages import UsualPage
from airflow_provider_clever.attendance.batches import length, value
from airflow_provider_clever.attendance.rows import Columns, RejectedRow, Rows
from airflow_provider_clever.attendance.values import canonical_json
from airflow_provider_clever.exceptions import CleverDataError, CleverProtocolError
from airflow_provider_clever.pull.chains import Chain

_NO_SECTION = "0" * 24
"""How Clever's order writes a row without a section (clever-api.md 3.1)."""


class WalkCheck:
    """Checks the pages of one walk against what was asked, and counts them.

    :param chain: the walk.
    :param district_id: the district that every row must name.
    """

    def __init__(self, chain: Chain, district_id: str) -> None:
        self._chain = chain
        self._district_id = district_id
        self._first = chain.query.start
        self._last = chain.query.end
        self._last_key: tuple[str, ...] | None = None
        self._stalled = False
        self.pages = 0
        self.received = 0
        self.equal_keys = 0
        self.surrogates_replaced = 0
        self.unknown_values: Counter[str] = Counter()

    def check(self, page: AttendancePage) -> AttendancePage:
        """The page with only the rows that belong to this walk; the others are among its rejected ones.

        :raises CleverDataError: a row names another district.
        :raises CleverProtocolError: the page does not come after the one before it.
        """
        self._check_district(page.columns)
        self._count(page, len(page.rejected))
        self.surrogates_replaced += page.surrogates_replaced
        return self._without_misfits(page)

    def takes(self, page: UsualPage) -> bool:
        """Whether all rows of the page belong to this walk; if not, it must be decoded and checked row by row.

        :raises CleverProtocolError: the page does not come after the one before it.
        """
        own_school = self._chain.query.school_id
        days = [day for _, _, day in page.days]
        if page.district_ids != {self._district_id} or not self._first <= days[0] <= days[-1] <= self._last:
            return False
        if own_school and page.school_ids != {own_school}:
            return False
        self._count(page)
        return True

    def _count(self, page: AttendancePage | UsualPage, rejected: int = 0) -> None:
        self.pages += 1
        self.received += length(page.columns) + rejected
        self.unknown_values.update(page.unknown_values)
        self._check_progress(page.columns)

    def _check_district(self, columns: Columns) -> None:
        if not set(columns["district_id"]) <= {self._district_id}:
            raise CleverDataError(
                f"Clever sent rows of another district among those of district {self._district_id}, so nothing of this "
                "page was used. Check which district the token of this connection belongs to; "
                "if it is the right one, report it to Clever."
            )

    def _check_progress(self, columns: Rows) -> None:
        if not length(columns):
            return
        first, last = _key(columns, 0), _key(columns, -1)
        if self._last_key is not None:
            # Rows of one key may straddle two pages; two pages with no new key between them are a loop.
            stalled = last == self._last_key
            if last < self._last_key or (stalled and self._stalled):
                raise CleverProtocolError(
                    f"Page {self.pages} of {self._chain.query.path} does not come after the page "
                    "before it, so the walk might never end. Run the task again; if it stays so, report it to Clever."
                )
            self.equal_keys += first == self._last_key
            self._stalled = stalled
        self._last_key = last

    def _without_misfits(self, page: AttendancePage) -> AttendancePage:
        columns = page.columns
        # Whether the section endpoint answers with rows of its section alone is open (clever-api.md O23): keep them.
        own_school = self._chain.query.school_id
        misfit_days = {day for day in set(columns["attendance_date"]) if not self._first <= str(day) <= self._last}
        misfit_schools = set(columns["school_id"]) - {own_school} if own_school else set()
        if not misfit_days and not misfit_schools:
            return page
        kept: list[int] = []
        rejected = list(page.rejected)
        for row, (day, school) in enumerate(zip(columns["attendance_date"], columns["school_id"], strict=True)):
            if day in misfit_days:
                reason = "attendance_date is outside the dates that were asked for"
            elif school in misfit_schools:
                reason = "school_id is not the school that was asked for"
            else:
                kept.append(row)
                continue
            rejected.append(RejectedRow(reason, self.pages, row + 1, canonical_json(page.rows[row])))
        return replace(
            page,
            rows=[page.rows[row] for row in kept],
            columns={name: [column[row] for row in kept] for name, column in columns.items()},
            rejected=rejected,
        )


def _key(columns: Rows, row: int) -> tuple[str, ...]:
    """A row's place in Clever's order (clever-api.md 3.2)."""
    return (
        str(value(columns, "attendance_date", row)),
        str(value(columns, "student_id", row)),
        value(columns, "section_id", row) or _NO_SECTION,
        str(value(columns, "school_id", row)),
    )
