"""Records at the destination which tables are made of a district's partitions, so that forgetting reaches them.

``_clever/district=<id>/tables.json`` says how to find each table. It holds no secret: a catalog is named by its Airflow
connection.
"""

import json
from collections.abc import Mapping
from typing import Final

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.objects import Objects

_VERSION: Final = 1


def registry_path(district_id: str) -> str:
    """Give the path of the record, relative to the destination."""
    return layout.our_path(district_id, "tables.json")


def register(objects: Objects, district_id: str, registration: Mapping[str, str]) -> None:
    """Record that a table is made of a district's partitions, before its first rows are committed.

    :param registration: how to find the table; the same one is recorded once.
    :raises CleverLandingError: it cannot be read or written.
    """

    def next_data(data: bytes | None) -> bytes | None:
        known = _parsed(district_id, data)
        if dict(registration) in known:
            return None
        return json.dumps({"version": _VERSION, "tables": [*known, dict(registration)]}).encode()

    objects.update(registry_path(district_id), next_data)


def registrations(objects: Objects, district_id: str) -> list[dict[str, str]]:
    """List the tables that are made of a district's partitions, each as it was registered.

    :raises CleverLandingError: it cannot be read; then it is not known which tables there are.
    """
    found = objects.read(registry_path(district_id))
    return _parsed(district_id, found and found[0])


def _parsed(district_id: str, data: bytes | None) -> list[dict[str, str]]:
    if data is None:
        return []
    try:
        document = json.loads(data)
        if document["version"] <= _VERSION:
            return [{str(key): str(value) for key, value in one.items()} for one in document["tables"]]
        why = "a newer version of airflow-provider-clever wrote it; upgrade this one"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        why = "it is damaged"
    raise CleverLandingError(
        f"{registry_path(district_id)} cannot be used: {why}. It says which tables are made of this district's "
        "partitions, which forgetting has to reach: restore an earlier version of it"
    )
