"""``/oauth/tokens`` and ``/oauth/tokeninfo``, which Clever serves from clever.com (clever-api.md 1.3, 1.4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from .answers import Answer, compact, empty, html
from .identity import object_id
from .world import District, World

ROSTER_SCOPES = ("read:sis", "read:district_admins", "read:school_admins", "read:user_id")
INVENTED_SCOPE = "read:attendance"
"""Clever publishes no name for the attendance scope (clever-api.md O1); this one is made up."""


def token_list(world: World, authorization: str, params: Mapping[str, str], uri: str) -> Answer:
    """Answer ``GET /oauth/tokens``: one token for each connected district of the client id."""
    if not _is_client(world, authorization):
        style = world.knobs.bad_credentials_body
        body = Answer(401, compact({"error": "unauthorized"}))
        return {"json": body, "html": html(401), "empty": empty(401)}[style]
    if params.get("owner_type", "district") != "district":
        return Answer(400, compact({"error": "invalid_request", "error_description": "owner_type must be district"}))
    asked = params.get("district")
    districts = [d for d in world.districts.values() if d.connected and asked in (None, d.id)]
    entries = [entry for district in districts for entry in _entries(world, district)]
    return Answer(200, compact({"data": entries, "links": [{"rel": "self", "uri": uri}]}))


def token_info(world: World, district: District | None) -> Answer:
    """Answer ``GET /oauth/tokeninfo``."""
    if district is None:
        return Answer(401, compact({"error": "unauthorized"}))
    return Answer(200, compact({"client_id": world.client_id, "scopes": scopes(world, district)}))


def is_withheld(world: World, district: District) -> bool:
    """Tell whether the app may not read this district's attendance."""
    knobs = world.knobs
    return knobs.attendance_withheld or district.id in knobs.attendance_withheld_districts


def scopes(world: World, district: District) -> list[str]:
    """List the scopes of a district's token."""
    return [*ROSTER_SCOPES] if is_withheld(world, district) else [*ROSTER_SCOPES, INVENTED_SCOPE]


def _is_client(world: World, authorization: str) -> bool:
    kind, _, code = authorization.partition(" ")
    try:
        plain = base64.b64decode(code, validate=True).decode()
    except (binascii.Error, UnicodeError):
        return False
    return kind.lower() == "basic" and plain == f"{world.client_id}:{world.client_secret}"


def _entries(world: World, district: District) -> list[dict[str, object]]:
    entry = _entry(world, district, district.token, "2026-01-02T03:04:05.678Z", "token")
    older = _entry(world, district, f"{district.token}-superseded", "2025-01-02T03:04:05.678Z", "older token")
    return {"off": [entry], "older_first": [older, entry], "newer_first": [entry, older]}[world.knobs.duplicate_tokens]


def _entry(world: World, district: District, token: str, created: str, part: str) -> dict[str, object]:
    return {
        "id": object_id(world.plan.seed, part, district.id, district.rotations),
        "created": created,
        "owner": {"type": "district", "id": district.id},
        "access_token": token,
        "scopes": scopes(world, district),
    }
