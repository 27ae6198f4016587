"""dlt's rest_api source, one resource per school, to Parquet in a folder.

Option ``parallel``: True lets dlt pull its resources side by side (``parallelized``), which it does not by default.
"""

import os
from pathlib import Path
from typing import Any

from measuring import Job, main

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
import pyarrow.parquet
from dlt.destinations import filesystem
from dlt.sources.rest_api import rest_api_source


def _resource(job: Job, school_id: str) -> dict[str, Any]:
    path, _, query = job.path(school_id).partition("?")
    return {
        "name": f"school_{school_id}",
        "table_name": "attendance",
        "write_disposition": "append",
        "max_table_nesting": 0,
        "endpoint": {
            "path": path,
            "params": dict(part.split("=") for part in query.split("&")),
            "data_selector": "data",
            "paginator": {"type": "json_link", "next_url_path": "links[?(@.rel=='next')].uri"},
        },
    }


def pull(job: Job) -> None:
    """Extract, normalise and load."""
    source = rest_api_source(
        {
            "client": {"base_url": job.origin, "auth": {"type": "bearer", "token": job.token}},
            "resources": [_resource(job, school_id) for school_id in job.school_ids],
        },
        parallelized=bool(job.options.get("parallel")),
    )
    pipeline = dlt.pipeline(
        pipeline_name="attendance",
        pipelines_dir=str(Path(job.folder, "pipelines")),
        destination=filesystem(bucket_url=Path(job.folder, "lake").as_uri()),
        dataset_name="clever",
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


def count(job: Job) -> int:
    """The rows that the Parquet files' footers tell."""
    files = Path(job.folder, "lake", "clever", "attendance").glob("**/*.parquet")
    return sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)


if __name__ == "__main__":
    main(pull, count)
