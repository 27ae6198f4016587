"""The params of a DAG's trigger form."""

from airflow.sdk import Param


def range_params() -> dict[str, Param]:
    """Give the two params that ask for a range of days in a DAG's trigger form; both may stay empty."""
    return {
        "date_range_start": Param(None, type=["null", "string"], format="date", title="First day"),
        "date_range_end": Param(None, type=["null", "string"], format="date", title="Last day"),
    }


def answer_params() -> dict[str, Param]:
    """Give the param by which the person who triggers a run says what became of rows that did not come back.

    The answer covers every school that waits for one, unless the run's conf names schools under
    ``missing_rows_school_ids``. That key is not in the form, because each param costs half a millisecond of every
    parse of every district's DAG.
    """
    words = [None, "deleted", "kept", "unshared"]
    return {"missing_rows": Param(None, type=["null", "string"], enum=words, title="Rows that did not come back are")}
