"""Runs a pull: each thread fetches, decodes and lands the rows of its chain.

While a thread works on a page, Clever answers its request for the next one, which was sent ahead. So no thread hands
work to another, and memory is bounded by the number of threads: each has one page and its open day. The reasons, with
figures: docs/explanation/decisions/0022-one-thread-does-all-of-a-walk.md.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.api.fetcher import PageFetcher
from airflow_provider_clever.api.messages import Response
from airflow_provider_clever.api.pages import AttendancePage, decode_page, decode_page_to_land
from airflow_provider_clever.attendance.rows import PulledDay
from airflow_provider_clever.exceptions import (
    CleverAuthError,
    CleverDataError,
    CleverError,
    CleverLandingError,
    CleverPartitionError,
    CleverProtocolError,
    CleverSettingsError,
    CleverStoppedError,
)
from airflow_provider_clever.pull.chains import Chain
from airflow_provider_clever.pull.checks import WalkCheck
from airflow_provider_clever.pull.days import DayAssembler
from airflow_provider_clever.pull.progress import Progress
from airflow_provider_clever.pull.rejected import RejectedRows, SetAside
from airflow_provider_clever.pull.results import PullResult, ScopeResult
from airflow_provider_clever.pull.threads import WalkingThreads
from airflow_provider_clever.syncs import moment_text

ENDS_THE_PULL: Final = (CleverDataError, CleverSettingsError, CleverStoppedError)
"""Errors that affect every school. Any other error ends only its own school's walk."""


def ends_the_pull(error: CleverError) -> bool:
    """Whether an error affects every school.

    A 401 is about the token, if it is confirmed and in Clever's own words; a 403 may be about one school.
    """
    is_about_token = isinstance(error, CleverAuthError) and error.status == 401 and error.permanent
    return is_about_token or isinstance(error, ENDS_THE_PULL)


_LANDING_THREADS: Final = 8
"""How many threads may land at once. They wait for an object store, so there can be more of them than for decoding."""

REFUSALS_IN_A_ROW: Final = 8
"""After this many refused days without a landed one, the store is the cause, not the days."""

log = logging.getLogger(__name__)


class _Walk:
    """A chain that is being walked: its checks, its open day, and whether it broke or was cut into others."""

    def __init__(self, chain: Chain, district_id: str) -> None:
        self.check = WalkCheck(chain, district_id)
        self.days = DayAssembler(chain)
        self.is_broken = False
        self.is_cut = False
        self.is_covered = chain.whole
        self._is_begun = False

    def take(self, response: Response) -> None:
        """Note what an answer says besides its rows."""
        if not self._is_begun:
            self.days.asked_at = moment_text(response.instant) if response.instant else ""
            self._is_begun = True
        if not response.matches_request:
            self.days.doubt()


class Pull:
    """A question to Clever, answered by several walks side by side.

    :param client: the API client of the district.
    :param chains: what to walk.
    :param district_id: the district that every row must name.
    :param set_aside: called with rows that cannot land, from any thread, but never from two at once.
    :param stop: set it, from any thread, to end the pull at once.
    :param max_concurrency: walks side by side; default 16.
    """

    def __init__(
        self,
        client: CleverClient,
        chains: Sequence[Chain],
        *,
        district_id: str,
        set_aside: SetAside,
        stop: threading.Event,
        max_concurrency: int = 16,
    ) -> None:
        self._client = client
        self._chains = list(chains)
        self._district_id = district_id
        self._rejected = RejectedRows(set_aside)
        self._unfetched = len(chains)
        self._open_walks = Counter(chain.scope_id for chain in chains)
        self._progress = Progress(len(chains), len(self._open_walks), client.budget_left)
        self._lock = threading.Lock()
        self._threads = WalkingThreads(client, chains, most=max_concurrency, stop=stop)
        self._landing = threading.Semaphore(_LANDING_THREADS)
        self._refusals = 0
        self.result = PullResult({chain.scope_id: ScopeResult(chain.scope_id) for chain in chains})

    def rows(self, limit: int) -> list[dict[str, Any]]:
        """All rows as Clever sent them, in the order of the chains.

        :param limit: stop as soon as there are more.
        :raises CleverSettingsError: there are more rows than the limit.
        :raises CleverStoppedError: the stop flag was set.
        :raises CleverError: an error that affects every school.
        """
        self._rejected.are_landed = False
        rows: dict[Chain, list[dict[str, Any]]] = {}

        def collect(chain: Chain, fetcher: PageFetcher) -> None:
            walk = _Walk(chain, self._district_id)
            for page in self._pages(chain, walk, fetcher, decode_page):
                rows.setdefault(chain, []).extend(page.rows)
                if self._progress.rows > limit:
                    raise CleverSettingsError(
                        f"More than {limit:,} attendance rows answer this question, too many for XCom. Set "
                        "`destination` to land them in object storage, ask for fewer days or schools, or raise "
                        "`max_xcom_records`."
                    )
            self._tally(chain, walk)

        self._run(collect)
        return [row for chain in self._chains for row in rows.get(chain, ())]

    def land(
        self, land: Callable[[PulledDay], object], *, when_fetched: Callable[[], object] = lambda: None
    ) -> PullResult:
        """Land every complete day, and give the result of each school.

        A day that cannot land affects no other: its school's other days land, and so do all other schools.

        :param land: called with each day, from any of the threads, several at once.
        :param when_fetched: called once all pages have come, from any thread, while the last of them still land. It
            must return at once, and not raise.
        :raises CleverStoppedError: the stop flag was set.
        :raises CleverLandingError: the store has refused several days and taken none in between.
        :raises CleverError: an error that affects every school.
        """

        def land_walk(chain: Chain, fetcher: PageFetcher) -> None:
            walk = _Walk(chain, self._district_id)
            for page in self._pages(chain, walk, fetcher, decode_page_to_land, when_fetched):
                land_all(chain, walk.days.add(page.batch(), has_rejected=bool(page.rejected)))
            if not (walk.is_broken or walk.is_cut):
                land_all(chain, walk.days.finish())
            self._tally(chain, walk)

        def land_all(chain: Chain, days: Iterator[PulledDay]) -> None:
            for day in days:
                with self._landing:
                    self._threads.check()
                    try:
                        land(day)
                    except CleverLandingError as error:
                        self._note_refusal(chain, day, error)
                    else:
                        self._refusals = 0

        if not self._chains:
            when_fetched()
        self._run(land_walk)
        return self.result

    def _pages(
        self,
        chain: Chain,
        walk: _Walk,
        fetcher: PageFetcher,
        decode: Callable[[bytes, int], AttendancePage],
        when_fetched: Callable[[], object] = lambda: None,
    ) -> Iterator[AttendancePage]:
        """A walk's checked pages, in order.

        An error that ends this walk alone is noted, and the walk marked as broken.
        """
        is_fetched = False
        try:
            for response, is_last in fetcher.attendance(chain.query, first_alone=chain.most_pieces > 1):
                if is_last:
                    is_fetched = True
                    self._count_fetched(when_fetched)
                with self._threads.in_turn():
                    page = decode(response.body, walk.check.pages + 1)
                if not (is_last or walk.check.pages) and self._cut(chain, walk, page):
                    self._count_fetched(when_fetched)
                    return
                walk.take(response)
                page = walk.check.check(page)
                self._count(chain, page)
                self._rejected.take(chain.scope_id, page)
                yield page
        except CleverError as error:
            if not is_fetched:
                self._count_fetched(when_fetched)
            if ends_the_pull(error):
                raise
            walk.is_broken = True
            with self._lock:
                self.result.scopes[chain.scope_id].errors.append(error)

    def _cut(self, chain: Chain, walk: _Walk, page: AttendancePage) -> bool:
        """Whether a chain was cut into others, which walk all its days: its first page is one of several.

        That page is asked for again, then: no part of a walk that does not go on can be known to be complete.
        """
        days = page.extent.days if chain.most_pieces > 1 else ()
        pieces = chain.cut(min(max(days), chain.days.last)) if days else ()
        if not pieces:
            return False
        walk.is_cut = True
        with self._lock:
            place = self._chains.index(chain)
            self._chains[place : place + 1] = pieces
            self._unfetched += len(pieces)
            self._open_walks[chain.scope_id] += len(pieces)
            self._progress.walks += len(pieces)
        self._threads.add(pieces)
        return True

    def _count_fetched(self, when_fetched: Callable[[], object]) -> None:
        with self._lock:
            self._unfetched -= 1
            is_all = not self._unfetched
        if is_all:
            when_fetched()

    def _count(self, chain: Chain, page: AttendancePage) -> None:
        with self._lock:
            self._progress.pages += 1
            self._progress.rows += len(page)
            self.result.scopes[chain.scope_id].rejected += len(page.rejected)

    def _run(self, walk: Callable[[Chain, PageFetcher], object]) -> None:
        """Walk all chains, keep the rows that cannot land, and judge the walks."""
        try:
            self._threads.run(walk, self._progress.tell)
        except CleverStoppedError:
            raise
        except CleverError:
            self._rejected.hand_over()
            raise
        self._rejected.hand_over()
        for scope_id, error in self._rejected.errors().items():
            scope = self.result.scopes[scope_id]
            scope.errors.append(error)
            scope.covered, scope.doubted = [], []
        self._judge_doubts()

    def _note_refusal(self, chain: Chain, day: PulledDay, error: CleverLandingError) -> None:
        """Continue without a day that did not land.

        :raises CleverLandingError: the store has refused too many.
        """
        log.error("The day %s of school %s did not land: %s", day.attendance_date, day.school_id, error)
        with self._lock:
            scope = self.result.scopes[chain.scope_id]
            scope.errors.append(error)
            scope.not_landed.add(day.attendance_date)
            self._refusals += not isinstance(error, CleverPartitionError)
            is_the_store = self._refusals >= REFUSALS_IN_A_ROW
        if is_the_store:
            raise error

    def _tally(self, chain: Chain, walk: _Walk) -> None:
        with self._lock:
            self._open_walks[chain.scope_id] -= 1
            self._progress.walks_done += 1
            self._progress.scopes_done += not self._open_walks[chain.scope_id]
            scope = self.result.scopes[chain.scope_id]
            scope.received += walk.check.received
            scope.pages += walk.check.pages
            self.result.equal_keys += walk.check.equal_keys
            self.result.surrogates_replaced += walk.check.surrogates_replaced
            self.result.unknown_values.update(walk.check.unknown_values)
            newest = walk.days.newest_date
            scope.newest_date = max(filter(None, (newest, scope.newest_date)), default=None)
            if walk.is_covered and walk.days.complete_days:
                kept = scope.doubted if walk.days.is_doubted else scope.covered
                kept.append(walk.days.complete_days)
            scope.is_doubted = scope.is_doubted or walk.days.is_doubted

    def _judge_doubts(self) -> None:
        """Judge the walks with answers whose links name another question than was asked.

        If all answers do, Clever writes its links differently: what has landed counts, and nothing is marked. If only
        some do, those are not what was asked for.
        """
        doubted = [scope for scope in self.result.scopes.values() if scope.is_doubted]
        if not doubted:
            return
        is_general = self._client.self_links.is_systematic
        if is_general:
            log.warning(
                "Clever's answers name other questions than were asked, for all of %d schools or sections alike. Their"
                " rows are taken, and no landed row is marked as missing by them. Look for a newer version of this"
                " provider, and report it.",
                len(doubted),
            )
        for scope in doubted:
            if is_general:
                scope.covered += scope.doubted if scope.received else []  # without a row, nothing speaks for the answer
            else:
                scope.errors.append(
                    CleverProtocolError(
                        f"Clever's answers for {scope.scope_id} name another question than was asked, over new"
                        " connections too. Their rows have landed, and nothing was marked; run again, and check the"
                        " proxies in between if it stays."
                    )
                )
