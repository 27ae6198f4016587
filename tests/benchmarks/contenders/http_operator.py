"""HttpOperator with a pagination function: one operator per school, its result written as it is.

The pagination function reads the next link; nothing else parses a row. HttpOperator returns the pages' texts, which
Airflow would put into XCom; here they go to a file, which costs less.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from measuring import Job, count_lines, main

job_file = json.loads(Path(sys.argv[1]).read_text())
os.environ["AIRFLOW_HOME"] = job_file["folder"] + "-airflow"
os.environ["AIRFLOW_CONN_STANDIN"] = json.dumps({"conn_type": "http", "host": job_file["origin"]})

from airflow.providers.http.operators.http import HttpOperator  # noqa: E402 - Airflow reads its home when imported
from requests import Response  # noqa: E402 - as above

logging.disable(logging.WARNING)


def _next_page(response: Response) -> dict[str, Any] | None:
    following = [link["uri"] for link in response.json()["links"] if link["rel"] == "next"]
    return {"endpoint": following[0]} if following else None


def pull(job: Job) -> None:
    """Run one operator after another."""
    for school_id in job.school_ids:
        pull_pages = HttpOperator(
            task_id="pull_pages",
            method="GET",
            http_conn_id="standin",
            endpoint=job.path(school_id),
            headers={"Authorization": f"Bearer {job.token}"},
            pagination_function=_next_page,
        )
        with Path(job.folder, f"{school_id}.json").open("w") as out:
            out.writelines(f"{page}\n" for page in pull_pages.execute({}))


def count(job: Job) -> int:
    """The rows of the pages, by a key that each row carries once."""
    return count_lines(job.folder, "*.json", b'"attendance_date"')


if __name__ == "__main__":
    main(pull, count)
