"""Reads the list of districts from a file or a Variable, and checks it."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from airflow_provider_clever.dags.district_dag import EXPECTED_BY, DistrictDag, dag_id_of
from airflow_provider_clever.exceptions import CleverSettingsError


def districts_from_variable(name: str) -> list[dict[str, Any]]:
    """Give the districts that an Airflow Variable lists as JSON, for :func:`attendance_dags`.

    It is looked up each time the DAG file is parsed, which is one call to the metadata database (or secrets backend)
    every 30 seconds; a file costs nothing.

    :param name: of the Variable.
    :raises CleverSettingsError: there is no such Variable, or it is no list.
    """
    from airflow.sdk import Variable

    try:
        found = Variable.get(name, default=None, deserialize_json=True)
    except (ImportError, ValueError, RecursionError):
        # It is no JSON at all, or too deep; or, in the first 3.1s and outside of Airflow's services, there is none.
        found = None
    if not isinstance(found, list):
        raise CleverSettingsError(
            f'The Variable {name} holds no list of districts. Set it: airflow variables set {name} \'[{{"district_id": '
            '"…", "destination": "s3://…"}]\''
        )
    return found


class DistrictList:
    """A list of districts as it was written; each is checked when it is asked for.

    :param districts: a YAML file, or the list itself.
    :param defaults: values for every district that does not have its own; they win over the file's defaults.
    :raises CleverSettingsError: it is no list, or an empty one.
    """

    def __init__(
        self, districts: str | Path | Sequence[Mapping[str, Any]], defaults: Mapping[str, Any] | None = None
    ) -> None:
        read, read_defaults = _read_file(Path(districts)) if isinstance(districts, str | Path) else (districts, {})
        if not isinstance(read_defaults, Mapping) or not isinstance(defaults or {}, Mapping):
            raise CleverSettingsError("The list of districts cannot be used. defaults: must be keys and values.")
        if not isinstance(read, Sequence) or isinstance(read, str | bytes):
            raise CleverSettingsError("The list of districts cannot be used. districts: must be a list.")
        if not read:
            raise CleverSettingsError("The list of districts is empty, so there is no DAG. Name at least one district.")
        self._defaults = {**read_defaults, **(defaults or {})}
        self._numbered = list(enumerate(read, start=1))

    def all(self) -> list[DistrictDag]:
        """Check the whole list.

        :raises CleverSettingsError: naming everything that is wrong with it.
        """
        return _checked(self._numbered, self._defaults)

    def of_dag(self, dag_id: str) -> DistrictDag | None:
        """Check the district of one DAG alone: a task needs one of 2,000 districts.

        :param dag_id: the DAG's id, or that of the district's DAG of alerts.
        :raises CleverSettingsError: that district is wrong, or is in the list twice.
        """
        wanted = {dag_id, dag_id.removesuffix(EXPECTED_BY)}
        found = [(number, given) for number, given in self._numbered if self._dag_id(given) in wanted]
        return next((one for one in _checked(found, self._defaults) if dag_id in one.dag_ids), None)

    def _dag_id(self, given: object) -> str | None:
        if not isinstance(given, Mapping):
            return None
        return dag_id_of(*(given.get(key, self._defaults.get(key)) for key in ("district_id", "dag_id")))


def _read_file(path: Path) -> tuple[object, object]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml reads six times as fast
        """Loads YAML, and refuses a key that is there twice: YAML itself would drop the first one's districts."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[object, object]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        doubled = sorted({str(key) for key in keys if keys.count(key) > 1})
        if doubled:
            raise CleverSettingsError(f"{path} has a key twice in one place: {', '.join(doubled)}.")
        made: dict[object, object] = loader.construct_mapping(node, deep=True)
        return made

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        with _uncollected():
            found = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CleverSettingsError(f"{path} cannot be read as YAML: {error.problem or 'it is broken'}{where}.") from None
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise CleverSettingsError(f"{path} cannot be read as YAML ({type(error).__name__}).") from None
    if isinstance(found, list):
        return found, {}
    if not isinstance(found, dict):
        raise CleverSettingsError(f"{path} holds neither a list of districts nor `districts:` beside `defaults:`.")
    unknown = sorted(map(str, found.keys() - {"districts", "defaults"}))
    if unknown:
        raise CleverSettingsError(
            f"{path} has keys that mean nothing: {', '.join(unknown)}. On its own level there are `districts:` and "
            "`defaults:` alone; what holds for every district stands below `defaults:`."
        )
    return found.get("districts"), found.get("defaults") or {}


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile."""
    # A long list makes so many objects that Python looks through all of Airflow's, for 0.1 s, at each start of a task.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _checked(numbered: Iterable[tuple[int, object]], defaults: Mapping[str, Any]) -> list[DistrictDag]:
    problems: list[str] = []
    settings: list[DistrictDag] = []
    taken: set[str] = set()
    for number, given in numbered:
        if not isinstance(given, Mapping):
            problems.append(f"district {number}: must be keys and values, such as `district_id: 65e0…`")
            continue
        try:
            one = DistrictDag.model_validate({**defaults, **given})
        except ValidationError as error:
            found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
            problems += [f"district {number}: {text}" for text in found]
        else:
            problems += [f"district {number}: {id_} stands in the list already" for id_ in one.dag_ids if id_ in taken]
            taken.update(one.dag_ids)
            settings.append(one)
    if problems:
        raise CleverSettingsError("The list of districts cannot be used. " + "; ".join(problems) + ".")
    return settings
