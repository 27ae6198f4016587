"""Joins the tries of one run into one receipt."""

from dataclasses import replace
from datetime import date
from typing import Final

from airflow_provider_clever.dates import DateRange, covers, date_ranges, joined
from airflow_provider_clever.lake.receipts import Receipt, SchoolReceipt, Try

_EFFECTS: Final = frozenset({"added", "changed", "missing", "returned", "quarantined"})
_COSTS: Final = frozenset({"requests", "refused", "seconds", "wait_seconds"})
_SUMMED: Final = _EFFECTS | _COSTS
"""Totals that are effects or costs of a try, and so add up over tries; the others describe what was found."""


def unite(earlier: Receipt, later: Receipt) -> Receipt:
    """Join the receipts of two tries of the same run.

    The later try decides, but what the earlier one changed is kept. A day that only the earlier one covered stays
    covered, and the older of the two syncs counts.
    """
    schools = {
        school_id: _united_school(earlier.schools.get(school_id), later.schools.get(school_id))
        for school_id in sorted({*earlier.schools, *later.schools})
    }
    united = replace(
        later,
        schools=schools,
        changes=_united_changes(earlier.changes, later.changes),
        tries=_united_tries(earlier, later),
        totals=later.totals | {name: earlier.totals.get(name, 0) + later.totals.get(name, 0) for name in _SUMMED},
    )
    if not all(
        covers(later.schools[school_id].covered if school_id in later.schools else (), school.covered)
        for school_id, school in earlier.schools.items()
    ):
        syncs = [receipt.sync_before for receipt in (earlier, later)]
        oldest = None if None in syncs else min(filter(None, syncs))
        return replace(united, sync_before=oldest, settled=earlier.settled and later.settled and len(set(syncs)) == 1)
    return united


def changed_days(earlier: Receipt | None, later: Receipt) -> tuple[DateRange, ...]:
    """Give the days that the tries of one run have changed; all that the later one compared, if one was killed.

    If a killed try has written a day without leaving a receipt, the next one finds that day unchanged. A day too many
    costs a reader one more read; a day that is not named is never read.

    :param earlier: the present receipt; None: there is none.
    :param later: the receipt of this try alone.
    """
    tries = [one for one in (earlier, later) if one]
    texts = {day for one in tries for school in one.schools.values() for day in school.written}
    if later.try_number > (earlier.try_number if earlier else 0) + 1:
        texts.update(day for school in later.schools.values() for day in school.unchanged)
    known = [one for receipt in tries for one in receipt.changed_days]
    return joined([*known, *date_ranges(map(date.fromisoformat, texts))])


def _united_tries(earlier: Receipt, later: Receipt) -> tuple[Try, ...]:
    """Give what each try covered, without tries that a later one covers completely; none if only the later one is left.

    A task may be cleared months later. Then Clever no longer has what its first try covered, and days that a try did
    not cover itself must not count as covered at its sync.
    """
    last = _one_try(later)
    kept = tuple(one for one in earlier.tries or (_one_try(earlier),) if any(one.covered.values()))
    kept = tuple(one for one in kept if not _outdoes(last, one))
    if not kept:
        return ()
    return (*kept, last) if any(last.covered.values()) else kept


def _one_try(receipt: Receipt) -> Try:
    return Try(
        finished_at=receipt.finished_at,
        sync_before=receipt.sync_before,
        settled=receipt.settled,
        covered={school_id: school.covered for school_id, school in receipt.schools.items() if school.covered},
    )


def _outdoes(later: Try, earlier: Try) -> bool:
    # Only on the same date: Clever deletes a day every day, so the later try may miss what the earlier one saw.
    return (
        later.settled
        and later.finished_at[:10] == earlier.finished_at[:10]
        and all(covers(later.covered.get(school_id, ()), days) for school_id, days in earlier.covered.items())
    )


def _united_school(earlier: SchoolReceipt | None, later: SchoolReceipt | None) -> SchoolReceipt:
    if earlier is None or later is None:
        only = earlier or later
        assert only is not None  # noqa: S101 - the id came from one of the two
        return only
    both = earlier.then(later)
    covered = joined([*earlier.covered, *later.covered])
    return replace(
        both,
        state=later.state,
        name=later.name or earlier.name,
        covered=covered,
        error=later.error,
        withheld=later.withheld,
    )


def _united_changes(earlier: tuple[str, ...] | None, later: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if earlier is None and later is None:
        return None
    return tuple(sorted({*(earlier or ()), *(later or ())}))
