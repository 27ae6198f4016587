"""The Clever routes: from a request that passed the rate limit to its answer (clever-api.md 2, 9.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from . import listings, oauth
from .answers import Answer, Delivery, RefusalError, compact, error, html
from .faults import Received
from .knobs import Knobs
from .pages import Scope, attendance_body, select
from .query import AttendanceQuery, parse_choice, parse_query
from .withholding import attendance_vanished, listed_schools
from .world import District, School, World

USER_TOKEN_PREFIX = "il"  # noqa: S105  # a documented prefix, no secret
"""Tokens of single users start so; they reach a few routes only (clever-api.md 1.2)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, with the district of its token and the ids in its path."""

    world: World
    district: District
    path: str
    params: Mapping[str, str]
    ids: tuple[str, ...]
    query: str = ""


def family_of(path: str) -> str:
    """Name the group that a path belongs to, for faults and counters."""
    parts = path.split("/")
    if path.startswith("/oauth/"):
        return "oauth"
    known = ("attendance", "districts", "schools", "sections", "users", "events")
    return parts[2] if len(parts) > 2 and parts[1] == "v3.1" and parts[2] in known else "other"


def answer(world: World, received: Received, params: Mapping[str, str]) -> Answer:
    """Answer one request to a Clever route."""
    style = world.knobs.error_content_type
    if received.method != "GET":
        refused = error(405, "Method not allowed", style)
        refused.headers.append(("Allow", "GET"))
        return refused
    route = _oauth if received.family == "oauth" else _v31
    try:
        return route(world, received, params)
    except RefusalError as refusal:
        return error(refusal.status, refusal.message, style)


def _oauth(world: World, received: Received, params: Mapping[str, str]) -> Answer:
    if received.path == "/oauth/tokens":
        uri = f"{received.path}?{received.query}" if received.query else received.path
        return oauth.token_list(world, received.authorization, params, uri)
    if received.path == "/oauth/tokeninfo":
        return oauth.token_info(world, world.district_of_token(received.token))
    return html(404)


def _v31(world: World, received: Received, params: Mapping[str, str]) -> Answer:
    match = next((m for pattern in ROUTES if (m := pattern.fullmatch(received.path))), None)
    if match is None:
        return html(404)
    district = _authorized(world, received)
    if received.token.startswith(USER_TOKEN_PREFIX) and match.re not in USER_ROUTES:
        return html(404)
    return ROUTES[match.re](Ask(world, district, received.path, params, match.groups(), received.query))


def _authorized(world: World, received: Received) -> District:
    if not received.authorization:
        raise RefusalError(401, "No authorization provided")
    if received.token.startswith(USER_TOKEN_PREFIX):
        return next(iter(world.districts.values()))
    district = world.district_of_token(received.token)
    if district is None:
        raise RefusalError(world.knobs.bad_token_status, "Could not authorize token")
    return district


def _ok(value: object) -> Answer:
    return Answer(200, compact(value))


def _school(ask: Ask) -> School:
    school = next((school for school in ask.district.shared_schools() if school.id == ask.ids[0]), None)
    if school is None:
        raise RefusalError(404, f"school {ask.ids[0]} not found")
    return school


def _school_with_attendance(ask: Ask) -> School:
    school = _school(ask)
    if attendance_vanished(ask.world, ask.district, school):
        raise RefusalError(404, f"school {school.id} not found")
    return school


def _check_attendance_scope(ask: Ask) -> None:
    if oauth.is_withheld(ask.world, ask.district):
        raise RefusalError(ask.world.knobs.attendance_withheld_status, "Resource not in token's scopes")


def _attendance_of_school(ask: Ask) -> Answer:
    _check_attendance_scope(ask)
    query = parse_query(ask.params, ask.world.knobs)
    try:
        school = _school_with_attendance(ask)
    except RefusalError:
        if ask.world.knobs.unknown_school == "404":
            raise
        school = None
    return _page(ask, Scope(ask.path, school), query)


def _attendance_of_section(ask: Ask) -> Answer:
    _check_attendance_scope(ask)
    knobs = ask.world.knobs
    query = parse_query(ask.params, knobs)
    school = ask.world.school_of_section(ask.district, ask.ids[0])
    section = next((s for s in school.roster.sections if s.id == ask.ids[0]), None) if school else None
    is_gone = section is not None and section.is_retired and knobs.retired_section == "404"
    if section is None or school is None or not school.shared or is_gone:
        if knobs.unknown_school == "404" or is_gone:
            raise RefusalError(404, f"section {ask.ids[0]} not found")
        return _page(ask, Scope(ask.path, None), query)
    students = frozenset(section.students) if knobs.section_returns_daily else frozenset()
    return _page(ask, Scope(ask.path, school, section.id, students), query)


def _page(ask: Ask, scope: Scope, query: AttendanceQuery) -> Answer:
    page, knobs = select(ask.world, scope, query), ask.world.knobs
    if knobs.gateway_most_rows and len(page.rows) > knobs.gateway_most_rows:
        return _timed_out(knobs)
    return Answer(200, attendance_body(scope, query, page, knobs))


def _timed_out(knobs: Knobs) -> Answer:
    """Answer as a gateway that timed out before the page was written. With status 0, close the connection."""
    if not knobs.gateway_status:
        return Answer(504, delivery=Delivery.HANG, seconds=knobs.gateway_seconds)
    reply = html(knobs.gateway_status)
    reply.delay_seconds = knobs.gateway_seconds
    return reply


def _districts(ask: Ask) -> Answer:
    if count := listings.counted(1, ask.path, ask.params):
        return _ok(count)
    links = [{"rel": "self", "uri": ask.path}]
    record = listings.district_record(ask.world, ask.district)
    uri = f"/v3.1/districts/{ask.district.id}"
    return _ok({"data": [{"data": record, "uri": uri}], "links": links})


def _district(ask: Ask) -> Answer:
    if ask.ids[0] != ask.district.id:
        raise RefusalError(404, f"district {ask.ids[0]} not found")
    return _ok(listings.one(listings.district_record(ask.world, ask.district), ask.path))


def _list_of(kind: str, records: Callable[[Ask, list[School]], list[listings.Record]]) -> Callable[[Ask], Answer]:
    """Give a route that lists records of the whole district, or of the school in its path."""

    def route(ask: Ask) -> Answer:
        schools = [_school(ask)] if ask.ids else ask.district.shared_schools()
        found = records(ask, schools)
        # Lists below a school have no count, and neither have events (clever-api.md 2.4, 2.6).
        if not ask.ids and kind != "events" and (count := listings.counted(len(found), ask.path, ask.params)):
            return _ok(count)
        return _ok(listings.listing(found, kind, ask.path, ask.params, ask.world.knobs))

    return route


def _one_of(kind: str, records: Callable[[Ask, list[School]], list[listings.Record]]) -> Callable[[Ask], Answer]:
    def route(ask: Ask) -> Answer:
        every = records(replace(ask, params={}, query="", ids=()), ask.district.shared_schools())
        found = next((record for record in every if record["id"] == ask.ids[0]), None)
        if found is None:
            raise RefusalError(404, f"{kind} {ask.ids[0]} not found")
        return _ok(listings.one(found, ask.path))

    return route


def _school_records(ask: Ask, schools: list[School]) -> list[listings.Record]:
    listed = {school.id for school in listed_schools(ask.world, ask.district)}
    return [listings.school_record(school) for school in schools if school.id in listed]


def _section_records(ask: Ask, schools: list[School]) -> list[listings.Record]:
    return listings.section_records(ask.world, schools)


def _user_records(ask: Ask, schools: list[School]) -> list[listings.Record]:
    nested = bool(ask.ids)
    role = parse_choice(ask.params, "role", listings.ROLES_OF_A_SCHOOL if nested else listings.ROLES)
    primary = parse_choice(ask.params, "primary", ("", "true")) if nested else None
    return listings.user_records(ask.world, schools, role, primary_only=primary == "true")


def _event_records(ask: Ask, _: list[School]) -> list[listings.Record]:
    wanted = [text for name, text in parse_qsl(ask.query, keep_blank_values=True) if name == "record_type"]
    for record_type in wanted:
        parse_choice({"record_type": record_type}, "record_type", listings.EVENT_RECORD_TYPES)
    return listings.event_records(ask.world, ask.district, school_id=ask.params.get("school"), record_types=wanted)


def _me(ask: Ask) -> Answer:
    person = ask.district.schools[0].roster.students[0]
    links = [
        {"rel": "self", "uri": "/me"},
        {"rel": "canonical", "uri": f"/v3.1/users/{person}"},
        {"rel": "district", "uri": f"/v3.1/districts/{ask.district.id}"},
    ]
    data = {"id": person, "district": ask.district.id, "type": "user", "authorized_by": "district"}
    return _ok({"type": "user", "data": data, "links": links})


def _route(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("{id}", "([^/]+)"))


ROUTES: dict[re.Pattern[str], Callable[[Ask], Answer]] = {
    _route("/v3.1/attendance/schools/{id}"): _attendance_of_school,
    _route("/v3.1/attendance/sections/{id}"): _attendance_of_section,
    _route("/v3.1/districts"): _districts,
    _route("/v3.1/districts/{id}"): _district,
    _route("/v3.1/schools"): _list_of("schools", _school_records),
    _route("/v3.1/schools/{id}"): _one_of("school", _school_records),
    _route("/v3.1/schools/{id}/sections"): _list_of("sections", _section_records),
    _route("/v3.1/schools/{id}/users"): _list_of("users", _user_records),
    _route("/v3.1/sections"): _list_of("sections", _section_records),
    _route("/v3.1/sections/{id}"): _one_of("section", _section_records),
    _route("/v3.1/users"): _list_of("users", _user_records),
    _route("/v3.1/users/{id}"): _one_of("user", _user_records),
    _route("/v3.1/events"): _list_of("events", _event_records),
    _route("/v3.1/events/{id}"): _one_of("event", _event_records),
    _route("/v3.1/me"): _me,
    _route("/v3.0/me"): _me,
}

USER_ROUTES = frozenset(
    _route(text) for text in ("/v3.1/me", "/v3.0/me", "/v3.1/users/{id}", "/v3.1/schools/{id}", "/v3.1/districts/{id}")
)
