"""All pages of one question, in pages and ranges of a size that Clever, and what stands before it, can answer."""

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
"""How often a page is asked for before a smaller one is: one bad moment of a gateway is no reason."""
_GATEWAY_STATUSES: Final = frozenset({408, 413, 502, 503, 504})
_LIMIT: Final = re.compile(r"(?<=limit=)\d+")


class Sizes:
    """How many rows a page, and how many days a question may have. All walks of a client share what one has learned.

    :param page_limit: rows of a page, 1 to 1,000. Default 1,000.
    :param max_span_days: days of a question. Default: as many as are asked for.
    :raises CleverSettingsError: one of them cannot be asked for.
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
        """Remember that pages of so many rows are answered, where larger ones were not."""
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
        """Remember that questions for so many days are answered, where longer ones were refused."""
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
    """What gets pages: :class:`~airflow_provider_clever.api.fetcher.PageFetcher`."""

    def fetch(self, request: Request, check_page: CheckPage | None = None, *, attempts: int | None = None) -> Response:
        """Get one page."""

    def send_ahead(self, request: Request) -> None:
        """Send the request that is going to be fetched next."""


class WalkedPage(NamedTuple):
    """One page of a walk.

    :param response: the answer.
    :param is_last: whether the walk ends with it.
    """

    response: Response
    is_last: bool


def walk_attendance(fetcher: Fetcher, api_base: str, query: AttendanceQuery, sizes: Sizes) -> Iterator[WalkedPage]:
    """Give the pages that answer a question, in order.

    A page that a gateway gives up on is asked for with half the rows, a range that is refused with half the days; what
    helped is remembered.

    :param fetcher: gets them.
    :param api_base: the API's origin.
    :param query: the question.
    :param sizes: how large pages and ranges may be.
    :raises CleverError: a page could not be had, in no size.
    """
    if query.any_day:
        raise CleverSettingsError("Give both dates: a question without dates is for single pages, with a cursor.")
    first, last = (dt.date.fromisoformat(day) for day in (query.start, query.end))
    days_tried = sizes.max_span_days or (last - first).days + 1
    while first <= last:
        days_tried = min(days_tried, sizes.max_span_days or days_tried)
        until = min(last, first + dt.timedelta(days=days_tried - 1))
        piece = replace(query, date_range_start=first, date_range_end=until)
        pages = _walk_piece(fetcher, attendance_request(api_base, piece, limit=sizes.page_limit), sizes)
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


def _walk_piece(fetcher: Fetcher, request: Request, sizes: Sizes) -> Iterator[WalkedPage]:
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
            else:  # its size is not to blame, so it is asked as often as the policy says
                is_patient = True
            continue
        is_patient = False
        sizes.note_page_limit(rows)
        following = walk.advance(response.body)
        if following is not None:
            following = _limited(following, rows)
            fetcher.send_ahead(following)
        yield WalkedPage(response, is_last=following is None)


def _may_be_size(error: CleverError) -> bool:
    """Whether a smaller page may be answered where this one was not."""
    if isinstance(error, CleverHTTPError):
        return error.status in _GATEWAY_STATUSES
    return isinstance(error, CleverTransportError) and error.is_late


def _may_pass(error: CleverError) -> bool:
    """Whether waiting longer may help, whatever the size."""
    if isinstance(error, CleverHTTPError):
        return error.status >= 500
    return isinstance(error, CleverTransportError) and not error.needs_person


def _limited(request: Request, rows: int) -> Request:
    return replace(request, query=_LIMIT.sub(str(rows), request.query, count=1))
