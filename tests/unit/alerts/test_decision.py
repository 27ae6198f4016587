"""Who is told what: once for each cause, once when it is over, never twice and never not at all."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import given, settings

from airflow_provider_clever.alerts.decision import CLAIM_MINUTES, Alert, Cause, CauseState, SentCause, decide, settled

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FATES = ("sent", "sent", "sent", "refused", "killed")


def nights_of(chance: random.Random) -> Iterator[tuple[dict[Cause, frozenset[str] | None], str]]:
    """Two hundred nights: more than Hypothesis would draw one by one."""
    for _ in range(200):
        causes = chance.sample(list(Cause), chance.randint(0, len(Cause)))
        members = {cause: frozenset(chance.sample("abc", chance.randint(0, 3))) for cause in causes}
        yield {cause: members[cause] if chance.random() < 0.8 else None for cause in causes}, chance.choice(FATES)


def state(*members: str) -> CauseState:
    return CauseState(members=frozenset(members), title="t", what="w")


def told_after(
    told: dict[Cause, SentCause], *members: str, by: str = "run", at: datetime = START
) -> tuple[int, dict[Cause, SentCause]]:
    messages, told = decide(told, {Cause.SILENT: state(*members)}, by=by, now=at)
    for message in messages:
        told = settled(told, message.cause, by=by, was_sent=True)
    return len(messages), told


def test_a_cause_is_told_once_with_each_school_that_joins_it_and_once_when_it_is_over() -> None:
    told: dict[Cause, SentCause] = {}
    counts = []
    for members in (["a"], ["a"], ["a", "b"], ["b"], ["a", "b"], [], [], ["a"]):
        count, told = told_after(told, *members)
        counts.append(count)
    assert counts == [1, 0, 1, 0, 0, 1, 0, 1]


def test_what_is_not_known_tonight_is_neither_told_nor_over() -> None:
    _, told = told_after({}, "a")
    assert decide(told, {}, by="run", now=START) == ([], told)


def test_two_runs_at_once_send_a_message_once_and_one_that_was_killed_does_not_keep_it_for_ever() -> None:
    present = {Cause.SILENT: state("a")}
    (mine,), claimed = decide({}, present, by="first", now=START)
    assert decide(claimed, present, by="second", now=START)[0] == []
    assert [one.cause for one in decide(claimed, present, by="first", now=START)[0]] == [mine.cause], "a retry goes on"
    later = START + timedelta(minutes=CLAIM_MINUTES)
    (again,), taken = decide(claimed, present, by="second", now=later)
    assert again.since == mine.since
    assert settled(taken, Cause.SILENT, by="first", was_sent=True) == taken, "the claim is no longer the first one's"


def test_a_message_that_could_not_be_sent_is_due_again_and_nothing_is_over_that_was_never_told() -> None:
    _, claimed = decide({}, {Cause.SILENT: state("a")}, by="run", now=START)
    refused = settled(claimed, Cause.SILENT, by="run", was_sent=False)
    assert refused == {}
    assert len(decide(refused, {Cause.SILENT: state("a")}, by="next", now=START)[0]) == 1
    assert decide(refused, {Cause.SILENT: state()}, by="next", now=START)[0] == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_in_two_hundred_nights_nothing_is_told_twice_without_a_recovery_between_and_no_standing_cause_is_untold(
    seed: int,
) -> None:
    told: dict[Cause, SentCause] = {}
    known: dict[Cause, set[str]] = {}  # what people have read since the cause was over last
    doubtful: set[Cause] = set()  # a sender was killed: people may have read it or not
    for number, (causes, fate) in enumerate(nights_of(random.Random(seed))):
        by, now = f"run {number}", START + timedelta(days=number)
        present = {cause: state(*members) for cause, members in causes.items() if members is not None}
        messages, told = decide(told, present, by=by, now=now)
        sent = {message.cause for message in messages}
        assert len(messages) == len(sent), "one message for a cause"
        for message in messages:
            cause, members = message.cause, message.state.members
            if cause not in doubtful:
                assert members - known.get(cause, set()) if members else known.get(cause)
            if fate == "killed":
                doubtful.add(cause)
                continue
            told = settled(told, cause, by=by, was_sent=fate == "sent")
            if fate == "sent":
                doubtful.discard(cause)
                known[cause] = (known.get(cause, set()) | members) if members else set()
        for cause, one in present.items():
            is_known = one.members <= known.get(cause, set()) and (one.members or not known.get(cause))
            assert is_known or cause in sent, "a standing cause, or one that is over, is told"


def test_a_message_says_what_where_and_what_next_in_a_few_lines() -> None:
    alert = Alert(
        cause=Cause.NOT_IN,
        is_recovery=False,
        district_id="65e0",
        district_name="Maple <Valley>",
        destination="s3://lake/clever",
        headline="not in by 09:30",
        what="Nothing of Mon 2026-03-02 has landed.",
        next_step="ask the district.",
        link="https://airflow.example/clever-attendance/1/65e0",
    )
    assert alert.text.splitlines() == [
        "Maple <Valley>: not in by 09:30",
        "Nothing of Mon 2026-03-02 has landed.",
        "Next: ask the district.",
        "Destination: s3://lake/clever",
        "Coverage: https://airflow.example/clever-attendance/1/65e0",
    ]
    assert alert.html.startswith("<p>Maple &lt;Valley&gt;: not in by 09:30</p>")
