"""Keeps cursors, the sync up to which a watched district was reported, in Airflow's state store of each asset."""

import asyncio
import logging
from typing import Any

log = logging.getLogger(__name__)


class Cursor:
    """A district's cursor in the state store of one asset.

    :param store: Airflow's accessor for the asset.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    async def load(self, district_id: str) -> dict[str, Any] | None:
        """Give the stored cursor; None if there is none, or something else."""
        value = await self._call("get", _key(district_id))
        return value if isinstance(value, dict) and "last_attendance_sync" in value else None

    async def save(self, district_id: str, value: dict[str, Any]) -> None:
        """Store the cursor."""
        await self._call("set", _key(district_id), value)

    async def _call(self, name: str, *arguments: Any) -> Any:
        # The async accessors came with 3.3.2; before, the blocking ones answer from a thread.
        if (waiting := getattr(self._store, f"a{name}", None)) is not None:
            return await waiting(*arguments)
        return await asyncio.to_thread(getattr(self._store, name), *arguments)


def _key(district_id: str) -> str:
    return f"last_attendance_sync_{district_id}"


def cursors_of(stores: Any) -> list[Cursor]:
    """Give the cursors for what Airflow injects as ``asset_state_store``; none where Airflow has no such store.

    Airflow has no public way to list the assets that share a trigger. If its private one is gone, a trigger of one
    asset still has the public accessor; a trigger of several then keeps no cursor, and logs that.
    """
    if stores is None:
        return []
    listed = [getattr(stores, name, None) or {} for name in ("_by_name", "_by_uri")]
    return [Cursor(store) for by_key in listed for store in by_key.values()] or [_OnlyCursor(stores)]


class _OnlyCursor(Cursor):
    """The cursor of a trigger that watches exactly one asset."""

    async def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return await super()._call(name, *arguments)
        except ValueError as error:  # Airflow's way to say that there are several assets
            if not self._has_warned:
                log.warning("How far the district has been told is not kept, so a restart may miss a sync: %s", error)
            self._has_warned = True
            return None

    _has_warned = False
