"""Makes one commit: replaces files, sets properties and expires old snapshots, all at once."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import pairwise

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import FileIO, OutputFile
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

from airflow_provider_clever.table.iceberg.columns import PROPERTIES

SEQUENCE = "clever.sequence_number"
"""The property with the sequence number of the snapshot that the cursors belong to."""


_MOST_SMALL_MANIFESTS = 4
_LARGEST_MERGED_BYTES = 1_000_000
"""About 3,000 files. A merged manifest is written again in many commits."""
METADATA_KEPT = "write.metadata.previous-versions-max"


class LostRaceError(Exception):
    """Another writer has committed since the table was read; nothing was changed."""


class _Swap(_OverwriteFiles):
    """An overwrite that drops manifests without a live file, which pyiceberg would keep for ever.

    It also merges small manifests.
    """

    def __init__(self, operation: Operation, transaction: Transaction, io: FileIO) -> None:
        super().__init__(operation=operation, transaction=transaction, io=io)
        self._written: list[str] = []
        self._used: set[str] = set()

    def new_manifest_output(self) -> OutputFile:
        """Make a new manifest, and note its location."""
        output = super().new_manifest_output()
        self._written.append(output.location)
        return output

    def _existing_manifests(self) -> list[ManifestFile]:
        return [one for one in super()._existing_manifests() if one.has_added_files() or one.has_existing_files()]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        of_data = [one for one in manifests if one.content == ManifestContent.DATA]
        merging = _ManifestMergeManager(
            target_size_bytes=_LARGEST_MERGED_BYTES,
            min_count_to_merge=_MOST_SMALL_MANIFESTS,
            merge_enabled=True,
            snapshot_producer=self,
        )
        found = merging.merge_manifests(of_data) + [one for one in manifests if one not in of_data]
        self._used = {one.manifest_path for one in found}
        return found

    def remove_unused(self, *, is_committed: bool) -> None:
        """Remove the manifests that were written and are in no snapshot; a failure leaves them to the sweep."""
        for path in self._written:
            if not (is_committed and path in self._used):
                with suppress(Exception):
                    self._io.delete(path)


def prepared_swap(
    table: PyIcebergTable,
    *,
    added: Iterable[DataFile] = (),
    removed: Iterable[DataFile] = (),
    properties: Mapping[str, str | None],
    expired: Collection[int] = (),
) -> Callable[[], None]:
    """Write the manifests of a commit based on the state of ``table``, and give the function that commits it.

    If that function raises anything but LostRaceError, the commit may have been made.

    :param properties: to set; None: to remove.
    :param expired: ids of snapshots to expire.
    """
    transaction = table.transaction()
    first = table.current_snapshot() is None
    swapped = _Swap(operation=Operation.APPEND if first else Operation.OVERWRITE, transaction=transaction, io=table.io)
    for file in added:
        swapped.append_data_file(file)
    for file in removed:
        swapped.delete_data_file(file)
    sequence = str(transaction.table_metadata.next_sequence_number())
    _set_properties(transaction, table, {METADATA_KEPT: PROPERTIES[METADATA_KEPT], SEQUENCE: sequence, **properties})
    swapped.commit()
    if expired:
        expiry = RemoveSnapshotsUpdate(snapshot_ids=list(expired))  # type: ignore[call-arg]  # typed by its alias
        transaction._apply((expiry,))

    def commit() -> None:
        try:
            transaction.commit_transaction()
        except Exception as error:
            # The answer may be lost after the commit was made; asked again, some catalogs report a conflict.
            with suppress(Exception):
                if table.refresh().snapshot_by_id(swapped.snapshot_id) is not None:
                    return
            if isinstance(error, CommitFailedException):
                swapped.remove_unused(is_committed=False)
                raise LostRaceError from None
            raise
        swapped.remove_unused(is_committed=True)

    return commit


def set_properties(table: PyIcebergTable, properties: Mapping[str, str | None]) -> None:
    """Set properties without changing rows, if the state of ``table`` is still the present one.

    :param properties: to set; None: to remove.
    :raises LostRaceError: it is not.
    """
    transaction = table.transaction()
    _set_properties(transaction, table, properties)
    transaction._apply((), (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=table.metadata.current_snapshot_id),))  # type: ignore[call-arg]  # typed by its alias
    try:
        transaction.commit_transaction()
    except CommitFailedException:
        raise LostRaceError from None


def _set_properties(transaction: Transaction, table: PyIcebergTable, properties: Mapping[str, str | None]) -> None:
    transaction.set_properties({key: text for key, text in properties.items() if text is not None})
    removed = [key for key, text in properties.items() if text is None and key in table.properties]
    if removed:
        transaction.remove_properties(*removed)


def expirable(table: PyIcebergTable, before: datetime | None) -> list[int]:
    """Give the snapshots that the next commit can expire: those that no branch and no tag needs.

    :param before: only snapshots that were replaced before this instant, so that running queries can end; None: all.
    """
    needed = {ref.snapshot_id for name, ref in table.metadata.refs.items() if name != MAIN_BRANCH}
    found = sorted(table.metadata.snapshots, key=lambda one: (one.sequence_number or 0, one.timestamp_ms))
    if before is not None:
        limit = before.timestamp() * 1000
        found = [one for one, later in pairwise(found) if later.timestamp_ms < limit]
    return [one.snapshot_id for one in found if one.snapshot_id not in needed]


def is_rolled_back(table: PyIcebergTable) -> bool:
    """Whether the table was rolled back to an earlier snapshot, to which the cursors do not belong."""
    head = table.current_snapshot()
    return ((head.sequence_number if head else 0) or 0) < int(table.properties.get(SEQUENCE, 0))
