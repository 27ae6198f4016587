"""The loop that one writes by hand: requests, one session, the rows as they came, JSON lines, no validation.

Option ``json``: ``stdlib`` (what most such loops use) or ``orjson``.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import orjson
import requests
from measuring import Job, count_lines, main

Loads = Callable[[bytes], dict[str, Any]]
Dumps = Callable[[Any], bytes]


def _stdlib_line(row: Any) -> bytes:
    return (json.dumps(row) + "\n").encode()


def _orjson_line(row: Any) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


LIBRARIES: dict[str, tuple[Loads, Dumps]] = {
    "stdlib": (json.loads, _stdlib_line),
    "orjson": (orjson.loads, _orjson_line),
}


def pull(job: Job) -> None:
    """Walk one school after another into one file."""
    loads, line = LIBRARIES[job.options["json"]]
    with requests.Session() as session, Path(job.folder, "rows.jsonl").open("wb") as out:
        session.headers["Authorization"] = f"Bearer {job.token}"
        for school_id in job.school_ids:
            url: str | None = job.origin + job.path(school_id)
            while url:
                response = session.get(url, timeout=60)
                response.raise_for_status()
                page = loads(response.content)
                out.writelines(line(row) for row in page["data"])
                following = [link["uri"] for link in page["links"] if link["rel"] == "next"]
                url = urljoin(job.origin, following[0]) if following else None


def count(job: Job) -> int:
    """The lines of the file."""
    return count_lines(job.folder, "rows.jsonl")


if __name__ == "__main__":
    main(pull, count)
