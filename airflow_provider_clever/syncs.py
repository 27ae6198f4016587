"""Compares a district's last sync with the sync that was known before."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from airflow_provider_clever.attendance.values import moment_from_text
from airflow_provider_clever.exceptions import CleverError, CleverTransportError
from airflow_provider_clever.models import District


class SyncCondition(StrEnum):
    """How ``last_attendance_sync`` compares with a baseline."""

    NEVER_SYNCED = "never_synced"
    UNCHANGED = "unchanged"
    ADVANCED = "advanced"
    GONE_NULL = "gone_null"
    GONE_BACKWARDS = "gone_backwards"


@dataclass(frozen=True, slots=True)
class SyncObservation:
    """What one poll of a district found.

    :param district_id: the district.
    :param condition: how its sync compares with the baseline.
    :param baseline: the sync that it was compared with; None: any sync at all is an advance.
    :param found: the district's ``last_attendance_sync``.
    :param paused: whether the district's uploads are paused, so that no sync is to be expected.
    :param stands: False if a value that went back has not been seen often enough to be the next baseline. Default True.
    """

    district_id: str
    condition: SyncCondition
    baseline: datetime | None
    found: datetime | None
    paused: bool
    stands: bool = True

    @property
    def advanced(self) -> bool:
        """Whether there is a sync later than the baseline."""
        return self.condition is SyncCondition.ADVANCED

    @property
    def name(self) -> str:
        """The condition that is logged when it changes."""
        return f"{self.condition}, paused" if self.paused and not self.advanced else self.condition

    @property
    def next_baseline(self) -> datetime | None:
        """What the next poll is to be compared with.

        A value that went back becomes the baseline, or an advance from there would be missed. If the value is gone, the
        baseline stays: the same value coming back is no news.
        """
        return self.baseline if self.found is None or not self.stands else self.found

    def __str__(self) -> str:
        text = _WORDS[self.condition].format(
            district=self.district_id,
            baseline=moment_text(self.baseline) if self.baseline else "none known",
            found=moment_text(self.found) if self.found else "none",
        )
        return f"{text} {_PAUSED}" if self.paused and not self.advanced else text


_WORDS = {
    SyncCondition.NEVER_SYNCED: "District {district} has never synced attendance.",
    SyncCondition.UNCHANGED: "District {district} has not synced attendance since {baseline}.",
    SyncCondition.ADVANCED: "District {district} synced attendance at {found} (before: {baseline}).",
    SyncCondition.GONE_NULL: "District {district} names no attendance sync any more; the last known is {baseline}.",
    SyncCondition.GONE_BACKWARDS: "The attendance sync of district {district} went back from {baseline} to {found}; "
    "waiting for one later than that.",
}
_PAUSED = "Its uploads are paused at Clever (usual in summer), so no sync is to be expected until they go on."


def observe(district: District, baseline: datetime | None, now: datetime) -> SyncObservation:
    """Compare a district with a baseline.

    :param district: as Clever gave it just now.
    :param baseline: the sync that is known already; None if any sync at all is an advance.
    :param now: the present instant, to tell whether a pause with dates is on.
    """
    found = district.last_attendance_sync
    return SyncObservation(district.id, _condition(baseline, found), baseline, found, is_paused(district, now))


def _condition(baseline: datetime | None, found: datetime | None) -> SyncCondition:
    if found is None:
        return SyncCondition.NEVER_SYNCED if baseline is None else SyncCondition.GONE_NULL
    if baseline is None or found > baseline:
        return SyncCondition.ADVANCED
    return SyncCondition.UNCHANGED if found == baseline else SyncCondition.GONE_BACKWARDS


def is_paused(district: District, now: datetime) -> bool:
    """Tell whether a district's uploads are paused: by its state, or because today lies in its pause.

    Clever documents the pause once as dates and once as instants (clever-api.md 9, O17), so days are compared.
    """
    if district.state == "paused":
        return True
    if district.pause_start is None or district.pause_end is None:
        return False
    return _day(district.pause_start) <= _day(now) <= _day(district.pause_end)


def _day(moment: date | datetime) -> date:
    if not isinstance(moment, datetime):
        return moment
    return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()


def moment_text(moment: datetime) -> str:
    """Give an instant as ISO-8601 UTC with six digits, so that comparing the text compares the instants."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def last_sync_text(district: District) -> str | None:
    """Give a district's last attendance sync as :func:`moment_text` writes it; None if it never synced."""
    return None if district.last_attendance_sync is None else moment_text(district.last_attendance_sync)


def sync_moment(text: object) -> datetime | None:
    """Give the instant that a baseline names; None for None, ``""`` and ``"None"`` (a template that found nothing).

    :raises ValueError: it is neither blank nor a timestamp.
    """
    if text is None or (isinstance(text, str) and text.strip() in ("", "None")):
        return None
    if isinstance(text, datetime):
        return text.replace(tzinfo=UTC) if text.tzinfo is None else text.astimezone(UTC)
    return moment_from_text(text)


def ends_the_wait(error: CleverError) -> bool:
    """Tell whether waiting longer is pointless until a person fixes something."""
    return error.permanent


_STANDS_AFTER_POLLS: Final = 3
"""How often in a row something must be seen before a wait draws a conclusion from it."""
_MOST_REPORTED: Final = 8


@dataclass(slots=True)
class WaitMemory:
    """What a wait remembers from poll to poll, besides its baseline.

    Clever answers from several machines, of which one may be behind: then its stamp alternates between two values. So a
    value that went back becomes the baseline only after several polls have found it, and none is reported twice.

    :param reported: the stamps that were reported or known before, the newest last.
    :param lower: the stamp that the last polls went back to.
    :param lower_polls: how many polls in a row found it.
    :param troubled_polls: how many polls in a row failed for what only a person can fix on this machine.
    """

    reported: tuple[datetime, ...] = ()
    lower: datetime | None = None
    lower_polls: int = 0
    troubled_polls: int = 0

    def settled(self, observed: SyncObservation) -> SyncObservation:
        """Correct an observation: a reported stamp is no advance, and one that went back must be seen several times."""
        self.troubled_polls = 0
        if observed.baseline is not None:
            self._remember(observed.baseline)
        is_lower = observed.condition is SyncCondition.GONE_BACKWARDS
        self.lower_polls = self.lower_polls + 1 if is_lower and observed.found == self.lower else int(is_lower)
        self.lower = observed.found if is_lower else None
        if is_lower and self.lower_polls < _STANDS_AFTER_POLLS:
            return replace(observed, stands=False)
        if observed.advanced and observed.found in self.reported:
            return replace(observed, condition=SyncCondition.UNCHANGED)
        if observed.found is not None:
            self._remember(observed.found)
        return observed

    def forget(self, moment: datetime | None) -> None:
        """Allow a stamp to be reported again, because its event did not arrive."""
        self.reported = tuple(known for known in self.reported if known != moment)

    def ends(self, error: CleverError) -> bool:
        """Tell whether waiting longer is pointless after a poll that failed with this error."""
        if isinstance(error, CleverTransportError) and error.needs_person:
            self.troubled_polls += 1
            return self.troubled_polls >= _STANDS_AFTER_POLLS
        self.troubled_polls = 0
        return ends_the_wait(error)

    def as_note(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {
            "reported": [moment_text(moment) for moment in self.reported],
            "lower": moment_text(self.lower) if self.lower else None,
            "lower_polls": self.lower_polls,
            "troubled_polls": self.troubled_polls,
        }

    @classmethod
    def of_note(cls, note: object) -> "WaitMemory":
        """Read what :meth:`as_note` gave; anything else is an empty memory."""
        try:
            known = dict(note) if isinstance(note, dict) else {}
            reported = [sync_moment(text) for text in known.get("reported", [])]
            return cls(
                tuple(moment for moment in reported if moment is not None),
                sync_moment(known.get("lower")),
                int(known.get("lower_polls", 0)),
                int(known.get("troubled_polls", 0)),
            )
        except (TypeError, ValueError):
            return cls()

    def _remember(self, moment: datetime) -> None:
        if moment not in self.reported:
            self.reported = (*self.reported, moment)[-_MOST_REPORTED:]


class LeveledLog(Protocol):
    """A logger, the standard library's or Airflow's."""

    def log(self, level: int, msg: str, /, *args: object) -> object:
        """Write a line."""


class ChangeLog:
    """Logs each change of condition once, however often it is polled.

    :param log: the logger.
    :param logged: the condition that was logged last; empty: none yet.
    """

    def __init__(self, log: LeveledLog, logged: str = "") -> None:
        self._log = log
        self.logged = logged

    def observed(self, observed: SyncObservation) -> None:
        """Log what a poll found."""
        unusual = observed.paused or observed.condition in (SyncCondition.GONE_NULL, SyncCondition.GONE_BACKWARDS)
        level = logging.WARNING if unusual and not observed.advanced else logging.INFO
        self._log_change(observed.name, level, str(observed))

    def trouble(self, error: Exception, next_step: str) -> None:
        """Log that a poll failed, and what happens next."""
        self._log_change(type(error).__name__, logging.WARNING, f"{error} {next_step}")

    def _log_change(self, condition: str, level: int, text: str) -> None:
        if condition != self.logged:
            self.logged = condition
            self._log.log(level, "%s", text)
