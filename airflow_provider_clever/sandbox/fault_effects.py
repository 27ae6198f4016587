"""What each kind of fault does: to the world, to the answer, or to its delivery."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs

from .answers import HTML, Answer, Delivery, compact, in_style
from .faults import Fault, Received
from .limits import Window, rate_headers
from .page_faults import PAGE_FAULTS, change_page
from .query import decode_cursor
from .strays import Answering, informational, other, stray
from .uploads import edit_record, insert_first_row, sync
from .world import District, School, World


def _status(status: int) -> Callable[[Fault], Answer]:
    return lambda fault: in_style(status, fault.body, fault.text or None)


def _page_of_html(_: Fault) -> Answer:
    return Answer(200, b"<!DOCTYPE html><html><body><h1>Sign in to your network</h1></body></html>", HTML)


def _not_a_page(_: Fault) -> Answer:
    return Answer(200, compact({"maintenance": True, "items": []}))


def _maintenance(_: Fault) -> Answer:
    return Answer(200, b"<!DOCTYPE html><html><body><h1>Down for scheduled maintenance</h1></body></html>", HTML)


def _error_in_a_200(fault: Fault) -> Answer:
    return Answer(200, compact({"error": fault.text or "temporarily unavailable"}))


def _redirect(fault: Fault) -> Answer:
    return Answer(302, b"", "", [("Location", f"https://{fault.host}/login")])


REPLIES: dict[str, Callable[[Fault], Answer]] = {
    "500": _status(500),
    "502": _status(502),
    "503": _status(503),
    "504": _status(504),
    "400": _status(400),
    "401": _status(401),
    "403": _status(403),
    "404": _status(404),
    "421": _status(421),
    "status": lambda fault: in_style(fault.status, fault.body, fault.text or None),
    "html_200": _page_of_html,
    "maintenance_200": _maintenance,
    "error_200": _error_in_a_200,
    "not_a_page_200": _not_a_page,
    "redirect": _redirect,
}

DELIVERIES = {
    "reset_mid_body": Delivery.RESET,
    "close": Delivery.CLOSE,
    "refuse": Delivery.REFUSE,
    "timeout": Delivery.HANG,
    "slow_bytes": Delivery.SLOW,
}


def _rotate(world: World, received: Received, _: Fault) -> None:
    if district := _district(world, received):
        world.rotate_token(district)


def _revoke(world: World, received: Received, _: Fault) -> None:
    world.revoked.add(received.token)


def _unshare(world: World, received: Received, _: Fault) -> None:
    if school := _school(world, received):
        school.shared = False


def _insert_before(world: World, received: Received, _: Fault) -> None:
    """A row appears in a part of the range that the walk has passed already."""
    if school := _school(world, received):
        dates = world.visible_dates(school, *_range(received))
        if dates:
            insert_first_row(world, school, dates[0])


def _edit_mid_walk(world: World, received: Received, _: Fault) -> None:
    """The range's first row, which the walk has passed already, is corrected."""
    if school := _school(world, received):
        for day in world.visible_dates(school, *_range(received)):
            if world.block(school, day).keys:
                edit_record(world, school, day, 0)
                return


def _sync_mid_walk(world: World, received: Received, _: Fault) -> None:
    if district := _district(world, received):
        sync(world, district, edits=5, late_rows=2)


EFFECTS: dict[str, Callable[[World, Received, Fault], None]] = {
    "rotate_token": _rotate,
    "revoke_token": _revoke,
    "unshare_school": _unshare,
    "insert_before_cursor": _insert_before,
    "edit_mid_walk": _edit_mid_walk,
    "sync_mid_walk": _sync_mid_walk,
}

UNASKED: dict[str, Callable[[World, Received, Fault, Answering], Answer]] = {
    "informational": lambda _, received, fault, answering: informational(answering(received), fault),
    "stray_answer": stray,
    "other_answer": lambda world, received, fault, answering: answering(other(world, received, fault)),
}

OTHERS = frozenset({"429", "truncated_json", "clock_skew", "no_rate_headers", "repeated_rate_headers"})
KINDS = frozenset({*REPLIES, *DELIVERIES, *EFFECTS, *PAGE_FAULTS, *UNASKED, *OTHERS})


def too_many(fault: Fault, window: Window | None) -> Answer:
    """Answer 429 out of turn, as another user of the same token would cause it."""
    answer = in_style(429, "empty" if fault.body == "json" else fault.body)
    if fault.headers:
        limit = window.limit if window else 1200
        reset = int(time.time() + fault.reset_in)
        values = {"Bucket": "bearer", "Limit": limit, "Remaining": 0, "Reset": reset}
        answer.headers += [(f"X-Ratelimit-{name}", str(value)) for name, value in values.items()]
    retry_after = fault.retry_after_text or (str(fault.retry_after) if fault.retry_after else "")
    if retry_after:
        answer.headers.append(("Retry-After", retry_after))
    return answer


def spoil(answer: Answer, fault: Fault) -> Answer:
    """Apply a fault to an answer that was otherwise fine."""
    if fault.kind in PAGE_FAULTS:
        return change_page(answer, fault)
    if fault.kind == "truncated_json":
        answer.body = answer.body[: len(answer.body) // 2]
    if fault.kind in DELIVERIES:
        answer.delivery, answer.seconds = DELIVERIES[fault.kind], fault.seconds
    return answer


def skew_of(fault: Fault | None, world: World) -> int:
    """Give the seconds by which Clever's clock is ahead of this machine's."""
    extra = fault.seconds if fault and fault.kind == "clock_skew" else 0
    return world.knobs.date_skew_seconds + int(extra)


def headers_for(window: Window | None, fault: Fault | None, world: World) -> list[tuple[str, str]]:
    """Give the rate-limit headers of an answer."""
    knobs = world.knobs
    if window is None or (fault and fault.kind == "no_rate_headers"):
        return []
    if fault and fault.kind == "repeated_rate_headers":
        knobs = knobs.changed({"rate_headers": "two_buckets"})
    return rate_headers(window, knobs, skew_seconds=skew_of(fault, world))


def _district(world: World, received: Received) -> District | None:
    return world.district_of_token(received.token)


def _school(world: World, received: Received) -> School | None:
    parts = received.path.split("/")
    return world.schools.get(parts[4]) if len(parts) > 4 and parts[3] == "schools" else None


def _range(received: Received) -> tuple[str | None, str | None]:
    params = parse_qs(received.query)
    start = params.get("date_range_start", [None])[0]
    end = params.get("date_range_end", [None])[0]
    if "starting_after" in params:
        cursor_day = decode_cursor(params["starting_after"][0]).day
        end = min(end or cursor_day, cursor_day)
    return start, end
