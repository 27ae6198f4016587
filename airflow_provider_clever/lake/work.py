"""Which work a try belongs to: what a retry shares with the tries before it."""

import re
from typing import Final, NamedTuple

from airflow_provider_clever.exceptions import CleverSettingsError

_ID: Final = re.compile(r"[0-9a-f]{16,64}")
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class Work(NamedTuple):
    """Which work a try belongs to; a retry of the same work has the same.

    :param id: 16 to 64 hex digits made of what identifies the work (see :func:`receipts.work_id`).
    :param month: ``YYYY-MM`` under which its receipt and changes are filed; the work's own, never the clock's, so that
        a retry after midnight of the last of the month files under the same.
    """

    id: str
    month: str

    def checked(self) -> "Work":
        """The work itself, if it may stand in a path.

        :raises CleverSettingsError: if it may not.
        """
        if not (_ID.fullmatch(self.id) and _MONTH.fullmatch(self.month)):
            msg = f"a work is identified by 16 to 64 hex digits and a month YYYY-MM, not by {self.id!r}, {self.month!r}"
            raise CleverSettingsError(msg)
        return self
