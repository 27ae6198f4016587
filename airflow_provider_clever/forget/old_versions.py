"""Removes older versions of objects that hold what is to be forgotten, where a store keeps such versions."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from airflow_provider_clever.forget.found import AT_ONCE, READERS, Found, Steps, slices
from airflow_provider_clever.forget.receipts import Touched
from airflow_provider_clever.forget.rules import Rule
from airflow_provider_clever.storage.history import OldVersion
from airflow_provider_clever.storage.objects import Objects

_Named: TypeAlias = tuple[str, OldVersion]
"""A version with the path of its object, relative to the destination."""


class OldVersions:
    """The older versions at a destination.

    :param objects: the destination.
    :param rule: what is to be forgotten.
    :param steps: records each step before it is taken.
    :param found: collects what is found.
    :param is_rehearsal: remove nothing.
    """

    def __init__(self, objects: Objects, rule: Rule, steps: Steps, found: Found, *, is_rehearsal: bool) -> None:
        self._objects = objects
        self._history = objects.history
        self._rule = rule
        self._steps = steps
        self._found = found
        self._is_rehearsal = is_rehearsal
        self._refused: list[str] = []
        self._unreadable: list[str] = []

    def sweep(self, prefixes: Iterable[str]) -> None:
        """Go through the versions below these folders."""
        for prefix in prefixes:
            self._below(prefix)
        self._found.could_not(
            "older versions could not be read, so it is not known what they hold",
            "remove them if they are not needed, and run again",
            self._unreadable,
        )
        self._found.could_not(
            "older versions that hold it could not be removed",
            f"give these credentials the right {self._history.delete_right}, or wait until what locks the versions "
            "has passed, and run again; a lifecycle rule for older versions removes them too",
            self._refused,
        )

    def _below(self, prefix: str) -> None:
        root = f"{self._objects.root}/"
        try:
            versions = [(one.path.removeprefix(root), one) for one in self._history.old_versions(f"{root}{prefix}")]
        except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds
            self._found.could_not(
                f"older versions of objects could not be listed ({type(error).__name__})",
                "give these credentials the right to list versions, and run again",
                [prefix],
            )
            return
        for some in slices(versions, AT_ONCE):
            with ThreadPoolExecutor(READERS) as readers:
                is_meant = list(readers.map(self._holds, some))
            self._remove([one for one, goes in zip(some, is_meant, strict=True) if goes])

    def _holds(self, named: _Named) -> bool:
        path, version = named
        verdict = self._rule.verdict(path)
        if verdict != "read" or version.is_empty:
            return verdict == "goes"
        try:
            return self._rule.clean(path, self._history.read(version)) is not None
        except FileNotFoundError:
            return False
        except Exception:  # noqa: BLE001 - whatever failed, it is not known what the version holds
            self._unreadable.append(_shown(named))
            return False

    def _remove(self, versions: list[_Named]) -> None:
        steps = {_shown(one): one[1] for one in versions}
        if self._is_rehearsal or not steps:
            self._found.touched.update(dict.fromkeys(steps, Touched(rows=0)))
            return
        self._steps.announce(dict.fromkeys(steps, Touched(rows=0)))
        for name, version in steps.items():
            try:
                self._history.delete(version)
            except Exception:  # noqa: BLE001 - as above
                self._refused.append(name)
            else:
                self._found.touched[name] = Touched(rows=0)
                self._steps.done(name)


def _shown(named: _Named) -> str:
    return f"{named[0]}?version={named[1].id}"
