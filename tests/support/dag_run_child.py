"""Run one DAG with ``dag.test()`` and write down what became of it: ``python -m tests.support.dag_run_child JOB``.

A process of its own, because Airflow reads its settings once, when it is imported.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.dag_bag import dag_bag, keep


def main(job_file: Path) -> None:
    """Run the DAG that the job names, and write the outcome beside the job."""
    job = json.loads(job_file.read_text())
    dag = only_dag(job["dag_id"])
    when: dict[str, Any] = {}
    if job["logical_date"] != "now":
        when["logical_date"] = job["logical_date"] and datetime.fromisoformat(job["logical_date"])
    run = dag.test(run_conf=job["run_conf"], **when)
    Path(job["outcome"]).write_text(json.dumps(outcome_of(run), default=str))


def only_dag(dag_id: str | None) -> Any:
    """The DAG of this id, or the only one, in Airflow's folder of DAGs."""
    bag = dag_bag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    if bag.import_errors:
        raise SystemExit("\n".join(bag.import_errors.values()))
    if dag_id is None and len(bag.dags) != 1:
        raise SystemExit(f"Say which DAG to run: {sorted(bag.dags)}")
    keep(bag)
    return bag.dags[dag_id or next(iter(bag.dags))]


def outcome_of(run: Any) -> dict[str, Any]:
    """What became of a run, as plain values."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Rendered
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def of_run(model: Any) -> Any:
        return select(model).where(model.dag_id == run.dag_id, model.run_id == run.run_id)

    with create_session() as session:
        return {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "state": str(run.state),
            "tasks": [[t.task_id, t.map_index, t.state, t.try_number] for t in session.scalars(of_run(TaskInstance))],
            "names": [[t.task_id, t.map_index, t.rendered_map_index] for t in session.scalars(of_run(TaskInstance))],
            "xcoms": [
                # As a task reads it. XComModel's own way takes the id "65e000000000000000000001" for the number 650.
                [x.task_id, x.map_index, x.key, BaseXCom.deserialize_value(x)]
                for x in session.scalars(of_run(XComModel))
            ],
            "events": [
                [asset.name, event.source_task_id, event.source_map_index, event.extra, _partition(event)]
                for event, asset in session.execute(
                    select(AssetEvent, AssetModel)
                    .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
                    .where(AssetEvent.source_dag_id == run.dag_id, AssetEvent.source_run_id == run.run_id)
                    .order_by(AssetEvent.id)
                )
            ],
            "rendered": [[r.task_id, r.map_index, r.rendered_fields] for r in session.scalars(of_run(Rendered))],
        }


def _partition(event: Any) -> Any:
    return getattr(event, "partition_key", None)  # from Airflow 3.2 on


if __name__ == "__main__":
    main(Path(sys.argv[1]))
