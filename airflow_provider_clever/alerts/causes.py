"""Judges every cause that alerts are sent about. No I/O."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from airflow_provider_clever.alerts import after_a_run, by_the_clock
from airflow_provider_clever.alerts.decision import Cause, CauseState
from airflow_provider_clever.alerts.district_facts import DistrictFacts

_JUDGED: Final[Mapping[Cause, Callable[[DistrictFacts], CauseState | None]]] = {
    Cause.NOT_IN: by_the_clock.not_in,
    Cause.SCHOOLS_NOT_IN: by_the_clock.schools_not_in,
    Cause.SILENT: after_a_run.silent,
    Cause.FALLING: after_a_run.falling,
    Cause.EXPIRING: by_the_clock.expiring,
    Cause.WITHHELD: after_a_run.withheld,
    Cause.QUARANTINE: after_a_run.quarantine,
}

BY_THE_CLOCK: Final = (Cause.NOT_IN, Cause.SCHOOLS_NOT_IN, Cause.EXPIRING)
"""The causes that the passing of time brings about. The others follow from what a run has recorded."""


def cause_states(facts: DistrictFacts, causes: Iterable[Cause]) -> dict[Cause, CauseState]:
    """Judge these causes; a cause about which nothing is known is left out.

    While rows of a school are withheld, nothing is known of that school. So a cause whose alert named it is not over.
    """
    withheld = facts.withheld_schools
    found = ((cause, _JUDGED[cause](facts)) for cause in causes)
    return {
        cause: state
        for cause, state in found
        if state is not None and (state.members or withheld.isdisjoint(facts.already_sent.get(cause, ())))
    }
