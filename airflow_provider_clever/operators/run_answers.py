"""Records the answer in a run's params about rows that did not come back."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import Context

from airflow_provider_clever.exceptions import CleverSettingsError

if TYPE_CHECKING:
    from airflow_provider_clever.storage.objects import Objects

log = logging.getLogger(__name__)

PARAM: Final = "missing_rows"
SCHOOLS_PARAM: Final = "missing_rows_school_ids"


def take_answer(objects: "Objects", district_id: str, context: Context) -> None:
    """Record the answer in the run's params, once for all its tasks and tries.

    ``missing_rows`` is ``deleted``, ``kept`` or ``unshared``; ``missing_rows_school_ids`` names the schools, by default
    all that waited for an answer when the run began.

    :raises CleverSettingsError: the answer is none of these.
    :raises CleverLandingError: the destination cannot be read or written.
    """
    params: Mapping[str, Any] = context.get("params") or {}
    word = params.get(PARAM)
    if word in (None, "", "None"):
        return
    from airflow_provider_clever.lake.giving_answers import give_answer
    from airflow_provider_clever.syncs import moment_text

    run = context["dag_run"]
    began = run.start_date
    user = getattr(run, "triggering_user_name", None)
    said = give_answer(
        objects,
        district_id,
        _ids(params.get(SCHOOLS_PARAM)),
        str(word),  # type: ignore[arg-type]  # it is checked there
        by=f"{user}, run {run.run_id}" if user else f"run {run.run_id}",
        at=moment_text(datetime.now(UTC)),
        once=True,
        asked_before=moment_text(began) if began else None,
    )
    if not said:
        log.info("missing_rows=%s adds nothing here: no school waited when the run began, or the run has said it", word)
    for one in said:
        log.info("Rows of school %s that did not come back are %s, says this run: %s", one.school_id, word, one.days)


def _ids(given: Any) -> tuple[str, ...]:
    if given in (None, "", "None"):
        return ()
    ids = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(one, str) for one in ids):
        raise CleverSettingsError(f"{SCHOOLS_PARAM} holds something that is no text; give Clever ids in quotes.")
    return ids
