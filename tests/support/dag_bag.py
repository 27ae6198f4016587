"""DAGs as Airflow reads and stores them, by the names that each minor version has for it."""

import importlib
from importlib.util import find_spec
from typing import Any, Final

_HOME: Final = "airflow.dag_processing.dagbag"  # before 3.2 among the models
TESTS_WHAT_IT_HOLDS: Final = find_spec(_HOME) is None
"""Whether ``dag.test()`` may want the DAG in the database: the first 3.1s do."""


def dag_bag(folder: str) -> Any:
    """Parse the DAG files of a folder."""
    return importlib.import_module(_HOME if find_spec(_HOME) else "airflow.models.dagbag").DagBag(dag_folder=folder)


def keep(bag: Any) -> None:
    """Do what the first 3.1s leave undone: they test no DAG that the database does not hold."""
    if TESTS_WHAT_IT_HOLDS:
        importlib.import_module("airflow.dag_processing.bundles.manager").DagBundlesManager().sync_bundles_to_db()
        importlib.import_module("airflow.models.dagbag").sync_bag_to_db(bag, "dags-folder", None)


def stored(dag: Any) -> Any:
    """Give a DAG as the scheduler has it: written down and read again."""
    return _serialization().from_dict(written(dag))


def written(dag: Any) -> Any:
    """Give what the DAG processor writes down of a DAG."""
    return _serialization().to_dict(dag)


def _serialization() -> Any:
    names = importlib.import_module("airflow.serialization.serialized_objects")
    return getattr(names, "DagSerialization", None) or names.SerializedDAG  # the second before 3.2
