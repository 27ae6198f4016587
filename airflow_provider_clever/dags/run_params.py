"""The params of a DAG's trigger form."""

from airflow.sdk import Param


def range_params() -> dict[str, Param]:
    """Give the two params of a DAG whose trigger form asks for a range of days; both may stay empty."""
    return {
        "date_range_start": Param(None, type=["null", "string"], format="date", title="First day"),
        "date_range_end": Param(None, type=["null", "string"], format="date", title="Last day"),
    }


def answer_params() -> dict[str, Param]:
    """Give the param by which the person who triggers a run says what has become of rows that did not come back.

    It is about all schools that wait for a word, unless the run's conf names some: ``missing_rows_school_ids``. That is
    no param of the form, because each costs half a millisecond of every parse of every district's DAG.
    """
    words = [None, "deleted", "kept", "unshared"]
    return {"missing_rows": Param(None, type=["null", "string"], enum=words, title="Rows that did not come back are")}
