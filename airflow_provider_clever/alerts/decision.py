"""Decides which alerts are due, from what was sent before and what is the case now. No I/O.

A message is claimed, sent, and then noted as sent. So two runs at the same time send it once. If a sender is killed
before it has noted the message, its claim expires and the message may arrive twice, but it is never lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from html import escape
from typing import Final, TypeAlias

CLAIM_MINUTES: Final = 15
"""For how long a message counts as being sent."""


class Cause(StrEnum):
    """What an alert can be about."""

    NOT_IN = "not_in"
    SCHOOLS_NOT_IN = "schools_not_in"
    SILENT = "silent"
    FALLING = "falling"
    EXPIRING = "expiring"
    WITHHELD = "withheld"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseState:
    """Whether one cause holds, and the words for it.

    :param members: what it is about, such as the ids of schools; a new member makes an alert due. Empty: it is over.
    :param title: a few words, which follow the district's name.
    :param what: the same in one or two sentences.
    :param next_step: what a person can do about it; empty: nothing.
    :param schools: the names of the schools that it is about.
    """

    members: frozenset[str] = frozenset()
    title: str
    what: str
    next_step: str = ""
    schools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that a process is about to send.

    :param by: which process: a retry of a task has the same name.
    :param at: when it began, ISO-8601.
    :param members: what the message is about; empty: that the cause is over.
    """

    by: str
    at: str
    members: tuple[str, ...]

    def blocks(self, by: str, now: datetime) -> bool:
        """Whether another process is sending the message right now."""
        age = now - datetime.fromisoformat(self.at)
        return by != self.by and age < timedelta(minutes=CLAIM_MINUTES)


@dataclass(frozen=True, slots=True)
class SentCause:
    """What one notifier has sent about one cause, and what it is sending now.

    :param since: when the first message about it was due, ISO-8601.
    :param members: the members that messages have named.
    :param claim: the message that is being sent; None: none is.
    """

    since: str
    members: tuple[str, ...] = ()
    claim: Claim | None = None


SentCauses: TypeAlias = Mapping[Cause, SentCause]
"""What one notifier has sent; a cause leaves once the message that it is over was sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one notifier: that a cause holds, or that it is over."""

    cause: Cause
    state: CauseState
    since: str

    @property
    def is_recovery(self) -> bool:
        """Whether it says that the cause is over."""
        return not self.state.members


def decide(
    sent: SentCauses, present: Mapping[Cause, CauseState], *, by: str, now: datetime
) -> tuple[list[Message], dict[Cause, SentCause]]:
    """Decide which messages one notifier has to send now, and what to note before they are sent.

    A message is due when something is new: a cause, a school that joins it, a nearer expiry; and once when the cause is
    over. A school that recovers while others do not is not named again before the cause is over.

    :param sent: what the notifier has sent before.
    :param present: the state of each cause; one that is left out is not known, and stays as it was.
    :param by: the process that would send.
    :param now: the present moment, with its zone.
    """
    messages, following = [], dict(sent)
    for cause, state in present.items():
        known = sent.get(cause)
        if known and known.claim and known.claim.blocks(by, now):
            continue
        before = known or SentCause(since=now.isoformat())
        is_new = bool(state.members - frozenset(before.members))
        if is_new or (known and not state.members):
            messages.append(Message(cause, state, before.since))
            following[cause] = replace(before, claim=Claim(by, now.isoformat(), tuple(sorted(state.members))))
    return messages, following


def settled(sent: SentCauses, cause: Cause, *, by: str, was_sent: bool) -> dict[Cause, SentCause]:
    """Give what to note after a message was sent, or could not be.

    :param by: the process that claimed it. If another process has taken the claim over, nothing changes.
    """
    following = dict(sent)
    known = following.get(cause)
    if known is None or known.claim is None or known.claim.by != by:
        return following
    members = tuple(sorted({*known.members, *known.claim.members})) if was_sent else known.members
    is_over = was_sent and not known.claim.members
    if is_over or not members:
        del following[cause]
    else:
        following[cause] = SentCause(known.since, members)
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a notifier gets as ``alert``, for its templates.

    :param cause: which, such as ``silent``.
    :param is_recovery: whether the message says that it is over.
    :param district_id: Clever's id of the district.
    :param district_name: its name, else its id.
    :param destination: where its attendance lands.
    :param headline: the problem in a few words.
    :param what: the same in one or two sentences.
    :param next_step: what to do; empty: nothing.
    :param schools: the names of the schools that it is about.
    :param since: when the first message about the cause was due, ISO-8601.
    :param link: to the district on the coverage page; empty: not known.
    """

    cause: Cause
    is_recovery: bool
    district_id: str
    district_name: str
    destination: str
    headline: str
    what: str
    next_step: str = ""
    schools: tuple[str, ...] = ()
    since: str = ""
    link: str = ""

    @property
    def title(self) -> str:
        """One line, such as a subject."""
        return f"{self.district_name}: {self.headline}"

    @property
    def text(self) -> str:
        """The whole message as plain text, in a few lines."""
        return "\n".join((self.title, *self._lines))

    @property
    def html(self) -> str:
        """The same as HTML."""
        return "".join(f"<p>{escape(line)}</p>" for line in (self.title, *self._lines))

    @property
    def _lines(self) -> list[str]:
        found = (
            ("", self.what),
            ("Next: ", self.next_step),
            ("Destination: ", self.destination),
            ("Coverage: ", self.link),
        )
        return [label + text for label, text in found if text]

    def __str__(self) -> str:
        return self.text
