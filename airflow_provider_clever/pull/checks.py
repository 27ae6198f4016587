"""Checks that pages belong to their walk. Other rows are set aside; a page that cannot be trusted ends the pull."""

from collections import Counter

from airflow_provider_clever.api.pages import AttendancePage
from airflow_provider_clever.exceptions import CleverDataError, CleverProtocolError
from airflow_provider_clever.pull.chains import Chain


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
        """Give the page with only the rows that belong to this walk; its other rows become rejected ones.

        :raises CleverDataError: a row names another district.
        :raises CleverProtocolError: the page does not come after the one before it.
        """
        if not page.extent.district_ids <= {self._district_id}:
            raise CleverDataError(
                f"Clever sent rows of another district among those of district {self._district_id}, so nothing of this "
                "page was used. Check which district the token of this connection belongs to; "
                "if it is the right one, report it to Clever."
            )
        self.pages += 1
        self.received += len(page) + len(page.rejected)
        self.unknown_values.update(page.unknown_values)
        self.surrogates_replaced += page.surrogates_replaced
        self._check_progress(page.extent.first, page.extent.last)
        return page if self._fits(page) else page.without(self._misfits(page), self.pages)

    def _check_progress(self, first: tuple[str, ...] | None, last: tuple[str, ...] | None) -> None:
        if first is None or last is None:
            return
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

    def _fits(self, page: AttendancePage) -> bool:
        """Whether all rows of a page belong to this walk."""
        # Whether the section endpoint answers with rows of its section alone is open (clever-api.md O23): keep them.
        own_school = self._chain.query.school_id
        return (not own_school or page.extent.school_ids <= {own_school}) and all(
            self._first <= day.isoformat() <= self._last for day in page.extent.days
        )

    def _misfits(self, page: AttendancePage) -> dict[int, str]:
        """Say why rows do not belong to this walk, by their position."""
        own_school = self._chain.query.school_id
        misfits = {}
        for place, row in enumerate(page.rows):
            if not self._first <= row["attendance_date"] <= self._last:
                misfits[place] = "attendance_date is outside the dates that were asked for"
            elif own_school and row["school_id"] != own_school:
                misfits[place] = "school_id is not the school that was asked for"
        return misfits
