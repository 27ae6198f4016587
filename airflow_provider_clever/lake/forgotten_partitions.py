"""Reads from forget receipts which content replaced which, so that verify does not report it as damage."""

from collections.abc import Callable
from typing import Final

from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.changes import short_hash
from airflow_provider_clever.storage.compressed import read_gzipped_json
from airflow_provider_clever.storage.objects import Objects

_MOST_LOOKS: Final = 20
"""How often receipts are read once more; a lake in which that many partitions are wrong has another problem."""


class Replaced:
    """The replaced partitions of a district, from its forget receipts.

    :param objects: the destination.
    :param district_id: the district.
    :param damaged: is called with the path of each receipt that cannot be read, and why.
    :raises CleverLandingError: the receipts cannot be listed.
    """

    def __init__(self, objects: Objects, district_id: str, *, damaged: Callable[[str, Exception], None]) -> None:
        self._objects = objects
        self._district_id = district_id
        self._after: dict[str, dict[str, str]] = {}
        self._looks_left = _MOST_LOOKS
        self._read(damaged)

    def lead(self, path: str, before: str, after: str) -> bool:
        """Whether forgetting explains the difference between what landed and what is there.

        :param path: the partition's path.
        :param before: the content hash that was landed (short).
        :param after: the present content hash (short); EMPTY: there is no partition.
        """
        if self._leads(path, before, after):
            return True
        if not self._looks_left:
            return False
        self._looks_left -= 1
        self._read(lambda *_: None)  # another process may be forgetting just now
        return self._leads(path, before, after)

    def _leads(self, path: str, before: str, after: str) -> bool:
        steps, seen = self._after.get(path, {}), set()
        while before != after and before in steps and before not in seen:
            seen.add(before)
            before = steps[before]
        return before == after

    def _read(self, damaged: Callable[[str, Exception], None]) -> None:
        for path in self._objects.names(layout.our_path(self._district_id, "forgotten")):
            read = self._objects.read(path)
            if read is None or not path.endswith(".json.gz"):
                continue
            try:
                document = read_gzipped_json(read[0])
                steps = [*document["touched"].items(), *((name, [one]) for name, one in document["underway"].items())]
                for partition, touched in steps:
                    if layout.parse_partition_path(partition):
                        known = self._after.setdefault(partition, {})
                        known |= {short_hash(one["before"]): short_hash(one["after"]) for one in touched}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                damaged(path, error)
