"""What the tests of this folder share."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.airflow import AirflowStack


@dataclass(frozen=True)
class Services:
    """What the tests of this folder share.

    :param stack: API server, scheduler and DAG processor.
    :param imported_for_the_form: what the API server has looked for when it has told the UI of the connection's form,
        and nothing else.
    :param example_lake: the destination of the examples, which they read from a variable of the environment.
    """

    stack: AirflowStack
    imported_for_the_form: frozenset[str]
    example_lake: Path
