"""curl with all links known beforehand, to disk: how fast the server gives, to a client that does next to nothing."""

import subprocess
from pathlib import Path

from measuring import Job, count_lines, main

from tests.benchmarks.standin import page_paths


def pull(job: Job) -> None:
    """Fetch every page over one connection."""
    lines = [f'header = "Authorization: Bearer {job.token}"', "silent", "fail"]
    number = 0
    for school_id in job.school_ids:
        for path in page_paths(school_id, job.first_day, job.last_day):
            lines += [f'url = "{job.origin}{path}"', f'output = "{job.folder}/{number:06}.json"']
            number += 1
    config = Path(job.folder, "curl.cfg")
    config.write_text("\n".join(lines))
    subprocess.run(["curl", "--config", config], check=True)


def count(job: Job) -> int:
    """The rows of the pages."""
    return count_lines(job.folder, "*.json", b'"attendance_date"')


if __name__ == "__main__":
    main(pull, count)
