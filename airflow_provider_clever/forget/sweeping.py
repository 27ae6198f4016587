"""Goes through all objects of a district once, and removes what a rule says is to be forgotten."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final

from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.forget.found import AT_ONCE, READERS, Found, Steps, Unrecorded, slices
from airflow_provider_clever.forget.old_versions import OldVersions
from airflow_provider_clever.forget.receipts import Touched
from airflow_provider_clever.forget.rules import Cleaned, Rule, Students, WholeDistrict, kind_of
from airflow_provider_clever.forget.tables import FedTables
from airflow_provider_clever.lake import changes, layout
from airflow_provider_clever.lake.idempotency_key import IdempotencyKey
from airflow_provider_clever.storage.objects import Objects, swap_waits, too_contended
from airflow_provider_clever.storage.versions import PreconditionFailedError, Version

_ORDER: Final = {"partitions": 0, "changes": 1}
"""Objects that teach hashes of entries come before quarantine, whose rows may have nothing else to identify them."""


class _Hit(tuple[str, Version, Cleaned]):
    """An object that holds something to forget: its path, its version, and what becomes of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"_Hit({self[0]!r})"


_TOPS: Final = ("attendance", "attendance_by_month", "schools", "_clever")
"""The folders in which a district has a folder of its own."""


class Sweeper:
    """Removes what a rule says is to be forgotten.

    :param objects: the destination.
    :param district_id: whose objects.
    :param rule: what is to be forgotten.
    :param steps: records each step before it is taken. Default: steps are not recorded.
    :param is_rehearsal: change nothing. Default False.
    :param feed: the key under which change records of the partitions are kept; None: there are none.
    :param tables: the tables that are made of the partitions. Default: none.
    :param learned: is called with hashes of entries that were learned, before the objects with them are changed.
    """

    def __init__(
        self,
        objects: Objects,
        district_id: str,
        rule: Rule,
        *,
        steps: Steps | None = None,
        is_rehearsal: bool = False,
        feed: IdempotencyKey | None = None,
        tables: FedTables | None = None,
        learned: Callable[[Mapping[str, frozenset[str]]], None] | None = None,
    ) -> None:
        self._objects = objects
        self._district_id = district_id
        self._rule = rule
        self._steps = steps or Unrecorded()
        self._is_rehearsal = is_rehearsal
        self._feed = feed
        self._tables = tables
        self._learned = learned
        self.found = Found()
        self._emptied: set[str] = set()
        self._refused: list[str] = []
        self._unreadable: list[str] = []

    def everything(self) -> Found:
        """Go through all objects of the district, the files of killed writers, and older versions in the store."""
        district = self._district_id
        prefixes = [f"{top}/district={district}" for top in _TOPS]
        paths = [path for prefix in prefixes for path in self._objects.names_below(prefix)]
        strange = [path for path in paths if kind_of(path) == "unknown" and self._rule.verdict(path) != "goes"]
        # Months are made again from the partitions, once these are clean.
        self.these(path for path in paths if kind_of(path) != "months" or self._rule.verdict(path) == "goes")
        if self._tables is not None and self._is_rehearsal:
            self._tables.preview(paths, self.found)
        elif self._tables is not None:
            self._tables.reach(paths, self.found, self._steps)
        self._temporary_files(paths)
        if not self._is_rehearsal:
            # No other folders: a writer makes a folder before it puts a file there.
            for folder in sorted(prefixes if isinstance(self._rule, WholeDistrict) else self._emptied):
                self._objects.delete_empty_folders(folder)
        history = OldVersions(self._objects, self._rule, self._steps, self.found, is_rehearsal=self._is_rehearsal)
        history.sweep([f"{prefix}/" for prefix in prefixes])
        self.found.could_not(
            "objects that are none of ours lie among those of the district, and were left alone",
            "look into them, and remove them if they hold what is to be forgotten",
            strange,
        )
        return self.found

    def these(self, paths: Iterable[str]) -> Found:
        """Go through these objects, each read once: partitions, then changes, then the rest."""
        meant = [path for path in paths if self._rule.verdict(path) != "stays"]
        with ThreadPoolExecutor(READERS) as readers:
            for _, alike in groupby(sorted(meant, key=_order), _order):  # the next ones need what these teach
                hits: list[_Hit] = []
                for some in slices(alike, READERS):
                    self.found.read += len(some)
                    hits += filter(None, readers.map(self._look, some))
                    if len(hits) >= AT_ONCE:
                        hits = self._take(hits)
                self._take(hits)
        self.found.could_not(
            "objects could not be read, so it is not known what they hold",
            "restore them, upgrade airflow-provider-clever, or remove them, and run again",
            self._unreadable,
        )
        self.found.could_not(
            "objects could not be written or removed",
            "give these credentials the right to write and remove below the destination, and run again",
            self._refused,
        )
        return self.found

    def _look(self, path: str) -> _Hit | None:
        try:
            read = self._objects.read(path)
            if read is None:
                return None
            cleaned = self._rule.clean(path, read[0])
        except (ValueError, KeyError, TypeError, CleverLandingError):
            self._unreadable.append(path)
            return None
        return _Hit((path, read[1], cleaned)) if cleaned is not None else None

    def _take(self, hits: list[_Hit]) -> list[_Hit]:
        """Change these objects, and give those that are left: none."""
        if self._is_rehearsal:
            self._teach(hits)
            self.found.touched.update({path: _touched(cleaned) for path, _, cleaned in hits})
            return []
        waits = swap_waits()
        while hits:
            self._teach(hits)
            self._steps.announce({path: _touched(cleaned) for path, _, cleaned in hits})
            again = []
            for hit in hits:
                try:
                    self._write(hit)
                except PreconditionFailedError:
                    again.append(hit[0])
                except CleverLandingError:
                    self._refused.append(hit[0])
            hits = list(filter(None, map(self._look, again)))
            if again:
                wait = next(waits, None)
                if wait is None:
                    raise too_contended(f"{self._objects.root}/{again[0]}")
                time.sleep(wait)
        return []

    def _teach(self, hits: list[_Hit]) -> None:
        entries: dict[str, frozenset[str]] = {}
        for _, _, cleaned in hits:
            for student, found in cleaned.entries.items():
                entries[student] = entries.get(student, frozenset()) | found
        self.found.students.update(entries)
        if isinstance(self._rule, Students) and entries:
            self._rule.learn(entry for found in entries.values() for entry in found)
            if self._learned is not None:
                self._learned(entries)

    def _write(self, hit: _Hit) -> None:
        path, version, cleaned = hit
        if cleaned.data is None:
            self._objects.delete(path, version)
            self._emptied.add(path.rpartition("/")[0])
        else:
            self._keep_change(path, cleaned)
            self._objects.write(path, cleaned.data, version)
        self.found.touched[path] = _touched(cleaned)
        self._steps.done(path)

    def _keep_change(self, path: str, cleaned: Cleaned) -> None:
        """Write a change record that links the rows before and after, and contains no row."""
        name = layout.parse_partition_path(path)
        if self._feed is None or name is None or cleaned.before == cleaned.after:
            return
        where = (
            name.school_id,
            name.attendance_date,
            changes.short_hash(cleaned.before),
            changes.short_hash(cleaned.after),
        )
        record = changes.write_change(self._objects, self._district_id, self._feed, where, ())
        self.found.changes.append(record.path)

    def _temporary_files(self, paths: Iterable[str]) -> None:
        own = layout.our_path(self._district_id, "local")
        left = [path for path in paths if path.startswith(f"{own}/") and path.endswith(".tmp")]
        if not self._is_rehearsal and left:
            self._steps.announce({path: Touched(rows=0) for path in left})
            self._objects.delete_temporary_files(own)
            for path in left:
                self._steps.done(path)
        self.found.touched.update({path: Touched(rows=0) for path in left})


def _order(path: str) -> int:
    return _ORDER.get(kind_of(path), 2)


def _touched(cleaned: Cleaned) -> Touched:
    return Touched(rows=cleaned.rows, before=cleaned.before, after=cleaned.after)
