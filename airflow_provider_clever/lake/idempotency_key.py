"""Makes the idempotency key of a run. All its tries share it, so a retry continues what earlier tries wrote."""

import hashlib
import json
import re
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverSettingsError

_ID: Final = re.compile(r"[0-9a-f]{16,64}")
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class TaskInstanceName(NamedTuple):
    """The Airflow task that a run was, for a person who looks for its log."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


class IdempotencyKey(NamedTuple):
    """The key that the tries of one run share. Receipts call it ``work``.

    :param id: 16 to 64 hex digits (see :meth:`of`).
    :param month: ``YYYY-MM`` under which the receipt and the changes are filed; the run's own, never the clock's, so
        that a retry after midnight of the last of the month files under the same.
    :param task: the Airflow task that it belongs to; None: it was no task.
    """

    id: str
    month: str
    task: TaskInstanceName | None = None

    @classmethod
    def of(cls, *identity: object, month: str, task: TaskInstanceName | None = None) -> "IdempotencyKey":
        """Make the key of a run.

        :param identity: whatever identifies the run: DAG, run, task, map index, and what was asked.
        :param month: ``YYYY-MM`` of the run's own date.
        :param task: the Airflow task that it belongs to. Default: none.
        """
        digest = hashlib.sha256(json.dumps(identity, default=str, sort_keys=True).encode()).hexdigest()
        return cls(digest[:32], month, task)

    def checked(self) -> "IdempotencyKey":
        """Give the key itself, if it may be part of a path.

        :raises CleverSettingsError: if it may not.
        """
        if not (_ID.fullmatch(self.id) and _MONTH.fullmatch(self.month)):
            msg = f"a work is identified by 16 to 64 hex digits and a month YYYY-MM, not by {self.id!r}, {self.month!r}"
            raise CleverSettingsError(msg)
        return self
