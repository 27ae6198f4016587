"""All pages of one question, in pages and date ranges small enough for Clever and the gateways before it."""

import datetime as dt
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from airflow_provider_clever.api.endpoints import ATTENDANCE_LIMIT, AttendanceQuery, attendance_request
from airflow_provider_clever.api.messages import Request, Response
from airflow_provider_clever.api.paging import CheckPage, Walk
from airflow_provider_clever.exceptions import (
    CleverError,
    CleverHTTPError,
    CleverRequestError,
    CleverSettingsError,
    CleverTransportError,
)

log = logging.getLogger(__name__)

_SMALLEST_PAGE: Final = 15
_ATTEMPTS_BEFORE_SMALLER: Final = 3
"""How often a page is requested before a smaller one is: one failure of a gateway is not enough."""
_GATEWAY_STATUSES: Final = frozenset({408, 413, 502, 503, 504})
_LIMIT: Final = re.compile(r"(?<=limit=)\d+")


class Sizes:
    """How many rows to request per page, and how many days per question. Walks of one client share what they learn.

    :param page_limit: most rows on a page, 1 to 1,000. Default 1,000.
    :param max_span_days: most days in a question. Default: no limit.
    :raises CleverSettingsError: one of them is out of range.
    """

    def __init__(self, page_limit: int = ATTENDANCE_LIMIT, max_span_days: int | None = None) -> None:
        if isinstance(page_limit, bool) or not 1 <= page_limit <= ATTENDANCE_LIMIT:
            raise CleverSettingsError(f"page_limit must be 1 to {ATTENDANCE_LIMIT}.")
        if max_span_days is not None and max_span_days < 1:
            raise CleverSettingsError("max_span_days must be at least 1, or left out.")
        self._lock = threading.Lock()
        self.page_limit = page_limit
        self.max_span_days = max_span_days

    def note_page_limit(self, rows: int) -> None:
        """Remember that pages of this size are answered where larger ones were not."""
        with self._lock:
            is_news, self.page_limit = rows < self.page_limit, min(rows, self.page_limit)
        if is_news:
            log.warning(
                "Larger pages were not answered in time; asking for %d rows at a time from here on. Set page_limit=%d"
                " to begin with that.",
                rows,
                rows,
            )

    def note_span(self, days: int) -> None:
        """Remember that questions of this length are answered where longer ones were refused."""
        with self._lock:
            is_news = self.max_span_days is None or days < self.max_span_days
            self.max_span_days = min(days, self.max_span_days or days)
        if is_news:
            log.warning(
                "Clever refuses questions for more days; asking for %d days at a time from here on. Set"
                " max_span_days=%d to begin with that.",
                days,
                days,
            )


class Fetcher(Protocol):
    """What a walk needs of :class:`~airflow_provider_clever.api.fetcher.PageFetcher`."""

    def fetch(self, request: Request, check_page: CheckPage | None = None, *, attempts: int | None = None) -> Response:
        """Get one page."""

    def send_ahead(self, request: Request) -> None:
        """Send the request that will be fetched next."""


class WalkedPage(NamedTuple):
    """One page of a walk.

    :param response: the answer.
    :param is_last: whether it is the last page.
    """

    response: Response
    is_last: bool


def walk_attendance(
    fetcher: Fetcher, api_base: str, query: AttendanceQuery, sizes: Sizes, *, first_alone: bool = False
) -> Iterator[WalkedPage]:
    """Yield the pages that answer a question, in order.

    If a gateway gives up on a page, it is requested with half the rows; if Clever refuses a date range, with half the
    days. The size that worked is kept for the walks that follow.

    :param fetcher: gets the pages.
    :param api_base: the API's origin.
    :param query: the question.
    :param sizes: the largest pages and date ranges to request.
    :param first_alone: send the request for the second page only once it is wanted. Default False.
    :raises CleverError: a page could not be fetched at any size.
    """
    if query.any_day:
        raise CleverSettingsError("Give both dates: a question without dates is for single pages, with a cursor.")
    first, last = (dt.date.fromisoformat(day) for day in (query.start, query.end))
    days_tried = sizes.max_span_days or (last - first).days + 1
    while first <= last:
        days_tried = min(days_tried, sizes.max_span_days or days_tried)
        until = min(last, first + dt.timedelta(days=days_tried - 1))
        piece = replace(query, date_range_start=first, date_range_end=until)
        request = attendance_request(api_base, piece, limit=sizes.page_limit)
        pages = _walk_piece(fetcher, request, sizes, first_alone=first_alone)
        try:
            page = next(pages)
        except CleverRequestError as refusal:
            days = (until - first).days + 1
            if refusal.status not in {400, 413} or days == 1:
                raise
            days_tried = days // 2
            continue
        if until < last and days_tried != sizes.max_span_days:
            sizes.note_span(days_tried)
        first = until + dt.timedelta(days=1)
        is_last_piece = first > last
        yield page._replace(is_last=page.is_last and is_last_piece)
        for page in pages:
            yield page._replace(is_last=page.is_last and is_last_piece)


def _walk_piece(fetcher: Fetcher, request: Request, sizes: Sizes, *, first_alone: bool) -> Iterator[WalkedPage]:
    walk = Walk(request)
    following: Request | None = request
    rows = sizes.page_limit
    is_patient = False
    while following is not None:
        rows = min(rows, sizes.page_limit)
        can_shrink = rows > _SMALLEST_PAGE and not is_patient
        try:
            response = fetcher.fetch(
                _limited(following, rows), walk.check, attempts=_ATTEMPTS_BEFORE_SMALLER if can_shrink else None
            )
        except (CleverHTTPError, CleverTransportError) as error:
            if not can_shrink or not (_may_be_size(error) or _may_pass(error)):
                raise
            if _may_be_size(error):
                rows //= 2
            else:  # a smaller page would not help, so the policy decides how often to try
                is_patient = True
            continue
        is_patient = False
        sizes.note_page_limit(rows)
        following = walk.advance()
        if following is not None:
            following = _limited(following, rows)
            if not first_alone:
                fetcher.send_ahead(following)
        first_alone = False
        yield WalkedPage(response, is_last=following is None)


def _may_be_size(error: CleverError) -> bool:
    """Tell whether a smaller page may succeed where this one failed."""
    if isinstance(error, CleverHTTPError):
        return error.status in _GATEWAY_STATUSES
    return isinstance(error, CleverTransportError) and error.is_late


def _may_pass(error: CleverError) -> bool:
    """Tell whether waiting longer may help, at any size."""
    if isinstance(error, CleverHTTPError):
        return error.status >= 500
    return isinstance(error, CleverTransportError) and not error.needs_person


def _limited(request: Request, rows: int) -> Request:
    return replace(request, query=_LIMIT.sub(str(rows), request.query, count=1))
