"""The blocking client. Usable without Airflow."""

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, cast

from airflow_provider_clever.api.client_state import ClientState
from airflow_provider_clever.api.credentials import find_tokens, token_credentials
from airflow_provider_clever.api.districts import items_in, read_models
from airflow_provider_clever.api.endpoints import (
    ATTENDANCE_LIMIT,
    AttendanceQuery,
    attendance_request,
    schools_request,
    sections_request,
)
from airflow_provider_clever.api.exchange import RetryPolicy
from airflow_provider_clever.api.fetcher import PageFetcher
from airflow_provider_clever.api.messages import Request
from airflow_provider_clever.api.pages import AttendancePage, decode_page
from airflow_provider_clever.api.paging import Walk
from airflow_provider_clever.api.redaction import keep_cursors_out_of_logs
from airflow_provider_clever.api.self_links import SelfLinkHistory
from airflow_provider_clever.api.throttle import BudgetLeft, HeldBack
from airflow_provider_clever.api.walking import Sizes
from airflow_provider_clever.exceptions import CleverDataError, CleverProtocolError
from airflow_provider_clever.models import AttendanceRecord, District, School, Section
from airflow_provider_clever.settings import CleverSettings


class CleverClient:
    """Reads districts, schools, sections and attendance from Clever. A context manager; making one does no I/O.

    :param settings: where Clever is, and as whom to ask.
    :param policy: how often and how long to try each request. Default: 5 attempts, at most 10 minutes of waiting.
    :param stop: once it is set, every thread of this client stops at its next step. Default: only :meth:`stop` does it.
    :param on_token: called with each token that is looked up, for instance to mask it in logs. Default: nothing is
        called.
    :param page_limit: most rows on a page of attendance, 1 to 1,000. Default 1,000. Halved while a gateway gives up.
    :param max_span_days: most days in one question; a longer range is asked in parts. Default: no limit. Halved while
        Clever refuses the range.
    :raises CleverSettingsError: page_limit or max_span_days is out of range.
    """

    def __init__(
        self,
        settings: CleverSettings,
        *,
        policy: RetryPolicy | None = None,
        stop: threading.Event | None = None,
        on_token: Callable[[str], object] = lambda _: None,
        page_limit: int = ATTENDANCE_LIMIT,
        max_span_days: int | None = None,
    ) -> None:
        keep_cursors_out_of_logs()
        self.settings = settings
        self._state = ClientState(
            settings,
            policy or RetryPolicy(),
            stop or threading.Event(),
            on_token,
            sizes=Sizes(page_limit, max_span_days),
        )
        self._own = PageFetcher(self._state)
        self._district: District | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close this client's own connection. Each fetcher closes its own."""
        self._own.close()

    def stop(self) -> None:
        """End every wait and every request of this client with ``CleverStoppedError``."""
        self._state.stop.set()

    @property
    def requests_sent(self) -> int:
        """Give the number of requests that all threads have sent."""
        return self._state.requests_sent

    @property
    def answer_seconds(self) -> float:
        """Give the moving average of the seconds until an answer begins; 0 before the first."""
        return self._state.answer_seconds

    @property
    def self_links(self) -> SelfLinkHistory:
        """Give how the pages of all threads compared with their requests."""
        return self._state.self_links

    def budget_left(self) -> BudgetLeft | None:
        """Give what is left of the token's budget; None if it is not known."""
        return self._state.throttle.snapshot()

    def held_back(self) -> HeldBack:
        """Give how often Clever has refused a request for the budget's sake, and how long requests waited for it."""
        return self._state.throttle.held_back()

    def fetcher(self) -> PageFetcher:
        """Make a fetcher for another thread. It does not check the district; call :meth:`get_district` first."""
        return PageFetcher(self._state)

    # --- districts --------------------------------------------------------------------------------------------------

    def district_ids(self) -> list[str]:
        """List the connected districts by id, in order of id.

        :raises CleverError: see :mod:`airflow_provider_clever.exceptions`.
        """
        if self.settings.token:
            return [self.get_district().id]
        return sorted(self._tokens())

    def list_districts(self) -> list[District]:
        """List every connected district, each through its own token, in order of id.

        :raises CleverError: see :mod:`airflow_provider_clever.exceptions`.
        """
        if self.settings.token:
            return [self.get_district()]
        tokens = sorted(self._tokens().items())
        return [self._district_of(district_id, token) for district_id, token in tokens]

    @property
    def found_district(self) -> District | None:
        """Give the district as it was last found; None: it has not been asked for yet."""
        return self._district

    def get_district(self) -> District:
        """Get the district as it is now, and check that it is the one that was asked for.

        :raises CleverSettingsError: the token belongs to another district, or none was named and there are several.
        """
        self._district = self._own.find_district()
        return self._district

    def _tokens(self) -> dict[str, str]:
        return self._own.run(find_tokens(self.settings, self._state.policy, None))

    def _district_of(self, district_id: str, token: str) -> District:
        state = self._state
        state.on_token(token)
        source = f"Clever's own list of tokens, for district {district_id}"
        # Each token has a budget of its own, so it gets a throttle of its own.
        alone = ClientState(
            state.settings,
            state.policy,
            state.stop,
            state.on_token,
            credentials=token_credentials(token, district_id, source=source),
        )
        with PageFetcher(alone) as fetcher:
            return fetcher.find_district()

    # --- rosters ----------------------------------------------------------------------------------------------------

    def iter_schools(self) -> Iterator[School]:
        """Iterate over the schools that the district shares."""
        for found in self._pages(schools_request(self.settings.api_base)):
            yield from read_models(School, items_in(found), "school")

    def iter_sections(self, school_id: str | None = None) -> Iterator[Section]:
        """Iterate over the sections that the district shares.

        :param school_id: only this school's. Default: all.
        """
        for found in self._pages(sections_request(self.settings.api_base, school_id)):
            yield from read_models(Section, items_in(found), "section")

    def _pages(self, first: Request) -> Iterator[bytes]:
        walk = Walk(first)
        request: Request | None = first
        while request is not None:
            body = self._own.fetch(request, walk.check).body
            request = walk.advance()
            yield body

    # --- attendance -------------------------------------------------------------------------------------------------

    def attendance_page(
        self,
        query: AttendanceQuery,
        *,
        limit: int = ATTENDANCE_LIMIT,
        starting_after: str | None = None,
        ending_before: str | None = None,
    ) -> AttendancePage:
        """Get a single page of attendance, with the API's own parameters (clever-api.md 2.2, 3.3).

        To go forwards and back, for instance::

            week = AttendanceQuery(school_id=school, date_range_start="2026-11-16", date_range_end="2026-11-20")
            first = client.attendance_page(week, limit=100)
            second = client.attendance_page(week, limit=100, starting_after=first.next_cursor)
            again = client.attendance_page(week, limit=100, ending_before=second.prev_cursor)  # the first one's rows

        With a cursor, dates are optional: ``AttendanceQuery(school_id=school, any_day=True)`` covers all days. A cursor
        contains a student's id and a day: keep it out of logs.

        :param query: the question.
        :param limit: most rows on the page, 1 to 1,000. Default 1,000.
        :param starting_after: cursor of the row before the page, such as :attr:`AttendancePage.next_cursor`.
        :param ending_before: cursor of the row after the page, such as :attr:`AttendancePage.prev_cursor`. Its rows
            ascend too, and it has no ``next_cursor``. Not together with ``starting_after``.
        :raises CleverSettingsError: limit, cursors or dates do not fit together. Nothing was sent.
        :raises CleverError: see :mod:`airflow_provider_clever.exceptions`.
        """
        request = attendance_request(
            self.settings.api_base, query, limit=limit, starting_after=starting_after, ending_before=ending_before
        )
        self._check_district_once()
        return self._checked(decode_page(self._own.fetch(request).body))

    def iter_attendance_pages(self, query: AttendanceQuery) -> Iterator[AttendancePage]:
        """Iterate over the pages of attendance that answer a question, one in memory at a time.

        :raises CleverProtocolError: an answer names another question in every attempt, and its rows do not fit either.
        """
        self._check_district_once()
        last_matched = True
        for number, walked in enumerate(self._own.attendance(query), start=1):
            page = self._checked(decode_page(walked.response.body, number))
            matches = walked.response.matches_request
            # If Clever has changed how it writes links, an empty last page is accepted too, after pages whose rows fit.
            is_end = not last_matched and not page
            if not (matches or is_end or _has_rows_of(query, page)):
                raise CleverProtocolError(
                    f"Clever's answers for {query.path} name another question than was asked, and hold no row that"
                    " answers it. Nothing of this page was used; run again, and check the proxies in between if it"
                    " stays."
                )
            last_matched = matches
            yield page

    def iter_attendance(self, query: AttendanceQuery) -> Iterator[AttendanceRecord]:
        """Iterate over the attendance that answers a question.

        :raises CleverDataError: after the last record, if some rows were not usable.
        """
        reasons: list[str] = []
        for page in self.iter_attendance_pages(query):
            reasons += (row.reason for row in page.rejected)
            for row in page.rows:
                yield AttendanceRecord.model_validate(row)
        if reasons:
            examples = ", ".join(sorted(set(reasons))[:5])
            raise CleverDataError(
                f"Clever sent {len(reasons)} rows for {query.path} that cannot be used: {examples}. All other rows were"
                " given. Land the range in object storage to find these in quarantine."
            )

    def _check_district_once(self) -> None:
        """Check once that the token belongs to the district that was asked for."""
        if self._district is None:
            self.get_district()

    def _checked(self, page: AttendancePage) -> AttendancePage:
        district = cast("District", self._district)
        if any(found != district.id for found in page.extent.district_ids):
            raise CleverProtocolError(
                f"Clever sent attendance of another district than {district.id}, to which the token belongs. Nothing of"
                " this page was used. Report it."
            )
        return page


def _has_rows_of(query: AttendanceQuery, page: AttendancePage) -> bool:
    """Tell whether a page has rows, and all of them are of the requested school or section and days."""
    name, scope_id = ("school_id", query.school_id) if query.school_id else ("section_id", query.section_id)
    are_ours = {row.get(name) for row in page.rows} == {scope_id}
    return are_ours and all(query.start <= day.isoformat() <= query.end for day in page.extent.days)
