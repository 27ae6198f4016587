"""Who is to be told what of a district: from what was told before and how it stands now. Pure.

A message is claimed, sent, and then noted as told. So two runs at once send it once; a sender that is killed between
the last two steps leaves a claim that ends, and the message may come twice, but never not at all.
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
    """What a district's people are told of."""

    NOT_IN = "not_in"
    SCHOOLS_NOT_IN = "schools_not_in"
    SILENT = "silent"
    FALLING = "falling"
    EXPIRING = "expiring"
    WITHHELD = "withheld"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseState:
    """How one cause stands, in words.

    :param members: what it is about, such as the ids of schools; a message goes out when one is new. Empty: it is over.
    :param title: the whole in a few words, which follow the district's name.
    :param what: one or two sentences.
    :param next_step: what a person does about it; empty: nothing.
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
class Told:
    """A cause that a notifier has been told of, or is just being told of.

    :param since: when the first message about it was due, ISO-8601.
    :param members: what has been told of.
    :param claim: the message that is on its way; None: none is.
    """

    since: str
    members: tuple[str, ...] = ()
    claim: Claim | None = None


ToldCauses: TypeAlias = Mapping[Cause, Told]
"""What one notifier has been told, until each cause is over."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one notifier: that a cause stands, or that it is over."""

    cause: Cause
    state: CauseState
    since: str

    @property
    def is_recovery(self) -> bool:
        """Whether it says that the cause is over."""
        return not self.state.members


def decide(
    told: ToldCauses, present: Mapping[Cause, CauseState], *, by: str, now: datetime
) -> tuple[list[Message], dict[Cause, Told]]:
    """What one notifier is to be told now, and what to note before it is sent.

    Told is what is new: a cause, a school that it had not befallen, a nearer end; and once, that a cause is over. A
    school that recovers while others do not is not told of again before the cause is over.

    :param told: what it was told before.
    :param present: how each cause stands; one that is left out is not known, and stays as it was.
    :param by: the process that would send.
    :param now: the present moment, with its zone.
    """
    messages, following = [], dict(told)
    for cause, state in present.items():
        known = told.get(cause)
        if known and known.claim and known.claim.blocks(by, now):
            continue
        before = known or Told(since=now.isoformat())
        is_new = bool(state.members - frozenset(before.members))
        if is_new or (known and not state.members):
            messages.append(Message(cause, state, before.since))
            following[cause] = replace(before, claim=Claim(by, now.isoformat(), tuple(sorted(state.members))))
    return messages, following


def settled(told: ToldCauses, cause: Cause, *, by: str, was_sent: bool) -> dict[Cause, Told]:
    """What to note after a message was sent, or could not be.

    :param by: the process that claimed it. A claim that another process has taken over since is left to that one.
    """
    following = dict(told)
    known = following.get(cause)
    if known is None or known.claim is None or known.claim.by != by:
        return following
    members = tuple(sorted({*known.members, *known.claim.members})) if was_sent else known.members
    is_over = was_sent and not known.claim.members
    if is_over or not members:
        del following[cause]
    else:
        following[cause] = Told(known.since, members)
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a notifier gets as ``alert``, for its templates.

    :param cause: which, such as ``silent``.
    :param is_recovery: whether the message says that it is over.
    :param district_id: Clever's id of the district.
    :param district_name: its name, else its id.
    :param destination: where its attendance lands.
    :param headline: what is the matter, in a few words.
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
