"""The control routes under ``/_sandbox/``: they set knobs, queue faults, move the clock, and list the rows due."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .app import Stage
from .expected import Due, count_by_status, days_due
from .fault_effects import KINDS
from .faults import parse_fault
from .rows import row_key
from .school_calendar import is_school_day, parse_timestamp, timestamp_text
from .uploads import sync
from .world import District, School, World, WorldPlan

Body = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


class OrderError(ValueError):
    """A control request that cannot be carried out."""


def control_app(stage: Stage) -> Starlette:
    """Give the application for everything under ``/_sandbox/``."""
    orders: dict[str, Callable[[Stage, Body], object]] = {
        "reset": _reset,
        "sync": _sync,
        "clock": _clock,
        "share": _share,
        "connect": _connect,
        "pause": _pause,
        "stamp": _stamp,
        "rotate": _rotate,
        "rows": _rows,
        "revoke": _revoke,
        "deliver": _deliver,
    }
    routes = [Route(f"/_sandbox/{name}", _posted(stage, order), methods=["POST"]) for name, order in orders.items()]
    routes += [
        Route("/_sandbox/", _fetched(stage, _overview)),
        Route("/_sandbox/counters", _fetched(stage, lambda stage: stage.journal.counters())),
        Route("/_sandbox/windows", _fetched(stage, lambda stage: stage.limiter.windows())),
        Route("/_sandbox/windows", _posted(stage, _end_windows), methods=["DELETE"]),
        Route("/_sandbox/requests", _fetched(stage, lambda stage: stage.journal.log())),
        Route("/_sandbox/requests", _posted(stage, _forget_requests), methods=["DELETE"]),
        Route("/_sandbox/knobs", _fetched(stage, lambda stage: stage.world.knobs.as_dict())),
        Route("/_sandbox/knobs", _posted(stage, _turn_knobs), methods=["POST"]),
        Route("/_sandbox/faults", _fetched(stage, lambda stage: [fault.as_dict() for fault in stage.faults.faults])),
        Route("/_sandbox/faults", _posted(stage, _add_fault), methods=["POST"]),
        Route("/_sandbox/faults", _posted(stage, _clear_faults), methods=["DELETE"]),
        Route("/_sandbox/expected", _expected(stage)),
    ]
    return Starlette(routes=routes)


def _posted(stage: Stage, order: Callable[[Stage, Body], object]) -> Handler:
    async def handle(request: Request) -> Response:
        text = await request.body()
        stage.world.deliver_due_rows()
        try:
            body = json.loads(text) if text.strip() else {}
            return JSONResponse(order(stage, body))
        except (ValueError, TypeError, KeyError) as problem:
            return JSONResponse({"message": f"{type(problem).__name__}: {problem}"}, 400)

    return handle


def _fetched(stage: Stage, fetch: Callable[[Stage], object]) -> Handler:
    async def handle(_: Request) -> Response:
        return JSONResponse(fetch(stage))

    return handle


def _overview(stage: Stage) -> Body:
    world = stage.world
    return {
        "seed": world.plan.seed,
        "now": timestamp_text(world.clock.now),
        "today": world.clock.today.isoformat(),
        "first_visible_day": world.first_visible_day(),
        "client_id": world.client_id,
        "client_secret": world.client_secret,
        "districts": [_district_facts(district) for district in world.districts.values()],
    }


def _district_facts(district: District) -> Body:
    last = district.last_attendance_sync
    return {
        "character": district.plan.character,
        "name": district.plan.name,
        "id": district.id,
        "token": district.token,
        "connected": district.connected,
        "paused": district.paused,
        "last_attendance_sync": timestamp_text(last) if last else None,
        "synced_through": district.synced_through.isoformat() if district.synced_through else None,
        "schools": [
            {"id": school.id, "name": school.plan.name, "shared": school.shared} for school in district.schools
        ],
    }


def _reset(stage: Stage, body: Body) -> Body:
    """Rebuild the world. What the body does not name is as at the start of the sandbox."""
    knobs = stage.first_knobs.changed(body.pop("knobs", {}))
    changes = dict(body)
    if "today" in changes:
        changes["today"] = date.fromisoformat(changes["today"])
    if "districts" in changes:
        changes["districts"] = tuple(changes["districts"])
    plan: WorldPlan = replace(stage.first_plan, **changes)
    stage.reset(plan, knobs)
    return _overview(stage)


def _end_windows(stage: Stage, _: Body) -> Body:
    return {"ended": stage.limiter.end_windows()}


def _turn_knobs(stage: Stage, body: Body) -> Body:
    stage.world.turn(stage.world.knobs.changed(body))
    return stage.world.knobs.as_dict()


def _add_fault(stage: Stage, body: Body) -> Body:
    return stage.faults.add(parse_fault(body, KINDS)).as_dict()


def _clear_faults(stage: Stage, _: Body) -> Body:
    stage.faults.clear()
    return {}


def _forget_requests(stage: Stage, _: Body) -> Body:
    stage.journal.clear()
    return {}


def _sync(stage: Stage, body: Body) -> Body:
    district = _district(stage.world, body.pop("district_id"))
    if "through" in body:
        body["through"] = date.fromisoformat(body["through"])
    body["school_ids"] = tuple(body.get("school_ids", ()))
    return asdict(sync(stage.world, district, **body))


def _deliver(stage: Stage, body: Body) -> Body:
    """Deliver the rows of uploads whose stamp came first (knob ``rows_lag_seconds``)."""
    district = _district(stage.world, body["district_id"])
    loads = [load for load in stage.world.late_loads if load.district_id == district.id]
    stage.world.deliver_rows(loads)
    return {"delivered": len(loads)}


def _clock(stage: Stage, body: Body) -> Body:
    """Set the clock to ``now``, or move it. With ``sync``, districts upload at the end of each day passed."""
    world = stage.world
    synced = body.pop("sync", [])
    districts = list(world.districts.values()) if synced is True else [_district(world, one) for one in synced]
    upload = {name: body.pop(name) for name in ("edits", "late_rows", "deletes", "weeks") if name in body}
    if "now" in body:
        world.clock.set(parse_timestamp(body.pop("now")))
    for _ in range(int(body.pop("days", 0))):
        world.clock.set(world.clock.now + timedelta(days=1))
        for district in districts if is_school_day(world.clock.today) else ():
            sync(world, district, **upload)
        world.deliver_due_rows()
    world.clock.set(world.clock.now + timedelta(**body))
    world.deliver_due_rows()
    return {"now": timestamp_text(world.clock.now), "today": world.clock.today.isoformat()}


def _share(stage: Stage, body: Body) -> Body:
    school = _school(stage.world, body["school_id"])
    school.shared = bool(body.get("shared", True))
    return {"school_id": school.id, "shared": school.shared}


def _connect(stage: Stage, body: Body) -> Body:
    district = _district(stage.world, body["district_id"])
    district.connected = bool(body.get("connected", True))
    return _district_facts(district)


def _pause(stage: Stage, body: Body) -> Body:
    district = _district(stage.world, body["district_id"])
    district.paused = bool(body.get("paused", True))
    return _district_facts(district)


def _stamp(stage: Stage, body: Body) -> Body:
    """Set ``last_attendance_sync`` to any instant, also an earlier one, or to null."""
    district = _district(stage.world, body["district_id"])
    stamp = body["last_attendance_sync"]
    district.stamp(parse_timestamp(stamp) if stamp else None)
    return _district_facts(district)


def _rotate(stage: Stage, body: Body) -> Body:
    district = _district(stage.world, body["district_id"])
    stage.world.rotate_token(district)
    return _district_facts(district)


def _revoke(stage: Stage, body: Body) -> Body:
    district = _district(stage.world, body["district_id"])
    stage.world.revoked.add(district.token)
    return _district_facts(district)


def _rows(stage: Stage, body: Body) -> Body:
    """Put or delete single records, whole or, for a record that exists, in part."""
    world = stage.world
    for fields in [*body.get("put", []), *body.get("delete", [])]:
        school = _school(world, fields["school_id"])
        if not {"attendance_date", "student_id"} <= set(fields):
            raise OrderError("A row needs school_id, attendance_date and student_id.")
        if fields in body.get("delete", []):
            world.delete_row(school, fields["attendance_date"], row_key(fields))
        else:
            world.put_row(school, _completed(world, school, fields))
    return {"put": len(body.get("put", [])), "deleted": len(body.get("delete", []))}


def _completed(world: World, school: School, fields: Body) -> Body:
    """Fill in what a put row leaves out: from the record that it replaces, else plain values."""
    moment = timestamp_text(world.clock.now)
    day, key = fields["attendance_date"], row_key(fields)
    defaults: Body = {
        "attendance_status": "absent",
        "attendance_type": "section" if fields.get("section_id") else "daily",
        "created": moment,
        "district_id": school.district_id,
    }
    if day in world.visible_dates(school):
        block = world.block(school, day)
        if key in block.keys:
            _, defaults = world.record(school, day, block.keys.index(key))
    merged = {**defaults, "last_modified": moment, **fields}
    return {name: value for name, value in merged.items() if value is not None}


def _expected(stage: Stage) -> Handler:
    async def handle(request: Request) -> Response:
        stage.world.deliver_due_rows()
        asked = request.query_params
        try:
            district = _district(stage.world, asked["district_id"])
        except (KeyError, ValueError) as problem:
            return JSONResponse({"message": f"expected needs a known district_id: {problem}"}, 400)
        due = Due(
            school_ids=tuple(asked.getlist("school_id")),
            section_id=asked.get("section_id"),
            start=asked.get("date_range_start"),
            end=asked.get("date_range_end"),
            status=asked.get("attendance_status"),
        )
        if asked.get("format") == "count":
            return JSONResponse(await _counted(stage.world, district, due))
        return StreamingResponse(_rows_as_lines(stage.world, district, due), media_type="application/x-ndjson")

    return handle


async def _rows_as_lines(world: World, district: District, due: Due) -> AsyncIterator[bytes]:
    for _, _, rows in days_due(world, district, due):
        if rows:
            yield b"\n".join(rows) + b"\n"


async def _counted(world: World, district: District, due: Due) -> Body:
    total = 0
    schools: dict[str, Body] = {}
    for school, day, rows in days_due(world, district, due):
        if rows:
            total += len(rows)
            schools.setdefault(school.id, {})[day] = count_by_status(rows)
        # A count over the large district takes seconds; other requests must not wait for it.
        await asyncio.sleep(0)
    return {"total": total, "schools": schools}


def _district(world: World, name: str) -> District:
    for district in world.districts.values():
        if name in (district.id, district.plan.character):
            return district
    raise OrderError(f"There is no district {name!r} in the sandbox.")


def _school(world: World, school_id: str) -> School:
    if school_id not in world.schools:
        raise OrderError(f"There is no school {school_id!r} in the sandbox.")
    return world.schools[school_id]
