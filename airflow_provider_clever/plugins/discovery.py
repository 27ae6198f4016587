"""Finds the districts to show: those that DAGs pull, and those at configured destinations."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from airflow.models.dag import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.providers.common.compat.sdk import conf
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from airflow_provider_clever.attendance.values import is_clever_id
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.lake.verify import districts_at
from airflow_provider_clever.plugins.links import PAGE_OPERATORS, PAGE_TAG
from airflow_provider_clever.plugins.waiting import within
from airflow_provider_clever.storage.destination_url import path_as_url
from airflow_provider_clever.storage.objects import Objects
from airflow_provider_clever.ui.views import District

_TEMPLATE: Final = re.compile(r"\{[{%#]")
_PREFIX: Final = re.compile(r"^Clever attendance: ")

_known: dict[str, tuple[str, list[District]]] = {}
"""The districts that each DAG pulls, by DAG id, with the hash of the DAG version that they were read from."""


def open_objects(destination: str) -> Objects:
    """Open a destination.

    :raises CleverError: it cannot be opened.
    """
    return open_destination(path_as_url(destination)).objects


def districts_of_dags(session: Session, readable: set[str]) -> tuple[list[District], set[str]]:
    """Give the districts that the user's DAGs pull, and the ids of the districts that any DAG pulls.

    A district that several DAGs pull to one destination is there once.

    :param readable: the ids of the DAGs that the user may see.
    """
    newest = (
        select(SerializedDagModel.dag_id, func.max(SerializedDagModel.created_at).label("at"))
        .group_by(SerializedDagModel.dag_id)
        .subquery()
    )
    versions = select(SerializedDagModel.id, SerializedDagModel.dag_id, SerializedDagModel.dag_hash).join(
        newest,
        (SerializedDagModel.dag_id == newest.c.dag_id) & (SerializedDagModel.created_at == newest.c.at),
    )
    versions = versions.join(DagModel, DagModel.dag_id == SerializedDagModel.dag_id).where(
        DagModel.is_stale.is_(False), DagModel.tags.any(DagTag.name == PAGE_TAG)
    )
    found: dict[tuple[str, str], District] = {}
    pulled: set[str] = set()
    for key, dag_id, dag_hash in session.execute(versions).all():
        if _known.get(dag_id, ("",))[0] != dag_hash:
            version = session.get(SerializedDagModel, key)
            _known[dag_id] = (dag_hash, [*districts_in(dag_id, (version and version.data) or {})])
        pulled.update(district.district_id for district in _known[dag_id][1])
        for district in _known[dag_id][1] if dag_id in readable else ():
            seen = found.get((district.district_id, district.destination))
            found[district.district_id, district.destination] = (
                seen.also_pulled_by(dag_id) if seen is not None else district
            )
    return list(found.values()), pulled


def shown(of_dags: Sequence[District], pulled: Collection[str], configured: Iterable[District]) -> list[District]:
    """Give the districts that a user sees: those of the DAGs that the user may see, and those that no DAG pulls.

    :param of_dags: the districts of the DAGs that the user may see.
    :param pulled: the ids of all districts that DAGs pull.
    :param configured: the districts at the configured destinations.
    """
    known = {(one.district_id, one.destination) for one in of_dags}
    hidden = {*pulled} - {one.district_id for one in of_dags}
    more = (one for one in configured if (one.district_id, one.destination) not in known)
    return [*of_dags, *(one for one in more if one.district_id not in hidden)]


def districts_in(dag_id: str, serialized: Mapping[str, Any]) -> Iterator[District]:
    """Find the districts that a DAG lands in its serialized form.

    A district is left out if its id or its destination is a template: only a run renders that.
    """
    dag = serialized.get("dag") or {}
    pairs = {
        (str(fields.get("district_id")), str(fields.get("destination")))
        for task in dag.get("tasks", ())
        if _kind(fields := _fields(task)) in PAGE_OPERATORS
    }
    name = str(dag.get("dag_display_name") or "")
    for district_id, destination in sorted(pairs):
        if is_clever_id(district_id) and not _TEMPLATE.search(destination) and destination not in ("None", ""):
            title = _PREFIX.sub("", name) if _PREFIX.match(name) and len(pairs) == 1 else ""
            yield District(
                district_id=district_id,
                destination=destination,
                name="" if title == district_id else title,
                dags=(dag_id,),
            )


def _fields(task: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(task.get("__var", task))
    partial = fields.get("partial_kwargs")
    if isinstance(partial, Mapping):
        fields = {**{name: _plain(value) for name, value in partial.items()}, **fields}
    return fields


def _plain(value: Any) -> Any:
    return value.get("__var", value) if isinstance(value, Mapping) else value


def _kind(fields: Mapping[str, Any]) -> str:
    return str(fields.get("task_type") or fields.get("_task_type") or "")


def districts_of_configuration() -> tuple[list[District], list[str]]:
    """Find the districts that have landed at ``[clever] destinations``, and the errors of destinations."""
    found, problems = [], []
    for destination in conf.get("clever", "destinations", fallback="").split():
        try:
            found += [
                District(district_id=id_, destination=destination)
                for id_ in within(partial(_landed, destination), destination)
            ]
        except CleverError as error:
            problems.append(str(error))
    return found, problems


def _landed(destination: str) -> tuple[str, ...]:
    return districts_at(open_objects(destination))
