"""How a district stands with regard to each cause that people are told of. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from airflow_provider_clever.alerts import after_a_run, by_the_clock
from airflow_provider_clever.alerts.decision import Cause, CauseState
from airflow_provider_clever.alerts.watched import Watched

_JUDGED: Final[Mapping[Cause, Callable[[Watched], CauseState | None]]] = {
    Cause.NOT_IN: by_the_clock.not_in,
    Cause.SCHOOLS_NOT_IN: by_the_clock.schools_not_in,
    Cause.SILENT: after_a_run.silent,
    Cause.FALLING: after_a_run.falling,
    Cause.EXPIRING: by_the_clock.expiring,
    Cause.WITHHELD: after_a_run.withheld,
    Cause.QUARANTINE: after_a_run.quarantine,
}

BY_THE_CLOCK: Final = (Cause.NOT_IN, Cause.SCHOOLS_NOT_IN, Cause.EXPIRING)
"""What comes about by time passing alone. The others follow from what a run has recorded."""


def cause_states(watched: Watched, causes: Iterable[Cause]) -> dict[Cause, CauseState]:
    """How these causes stand; one of which nothing is known is left out.

    A cause is not over while rows are withheld of a school that it was told of: nothing is known of that school.
    """
    withheld = watched.withheld_schools
    found = ((cause, _JUDGED[cause](watched)) for cause in causes)
    return {
        cause: state
        for cause, state in found
        if state is not None and (state.members or withheld.isdisjoint(watched.told.get(cause, ())))
    }
