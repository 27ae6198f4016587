"""What the project says it works with, and which command shows it."""

from typing import Final, NamedTuple


class Claim(NamedTuple):
    """One claim.

    :param subject: what kind of thing it is about.
    :param about: what the provider works with.
    :param how: what is run.
    :param command: the command that shows it; the page says "not run" until it has passed.
    """

    subject: str
    about: str
    how: str
    command: str


CLAIMS: Final = (
    Claim("metadata database", "SQLite", "scheduled runs of a DAG, compared row by row", "make demo"),
    Claim("metadata database", "PostgreSQL", "backfills beside nightly runs", "make e2e"),
    Claim("metadata database", "PostgreSQL", "deferral, asset events, killed services", "make e2e-sync"),
    Claim("executor", "LocalExecutor", "scheduled runs of a DAG, compared row by row", "make demo"),
    Claim("executor", "CeleryExecutor", "two workers with Redis, one of them killed half-way", "make e2e-celery"),
    Claim("store", "file system", "landing, merging, two writers, crashes", "make test"),
    Claim("store", "S3", "the same on moto's server", "make test"),
    Claim("store", "Google Cloud Storage", "landing and merging on gcp-storage-emulator", "make test"),
    Claim("store", "Azure Blob Storage", "landing and merging on Azurite", "make test"),
    Claim("store", "the oldest s3fs, gcsfs and adlfs", "landing, failures, two writers", "make stores-lowest"),
    Claim("installed wheel", "each extra alone", "what it promises, through the operator in Airflow", "make wheel"),
    Claim("connection form", "Airflow's own UI", "the Test button, pressed in headless Chromium", "make browser"),
)

FEATURES: Final = {
    "form from the metadata": (
        "the connection's form comes from the package's metadata",
        "the hook gives the form (3.1.0 shows it only beside the FAB provider)",
    ),
    "form without the hook": (
        "the form is shown without importing the hook",
        "the API server imports every hook before it shows a form",
    ),
    "partitions by cron": ("`CronPartitionTimetable`: a run's key names its day", "runs are dated by their interval"),
    "partitions at run time": ("`PartitionedAtRuntime`: the trigger names the day", "give both dates as params"),
    "shared streams": (
        "all watched districts of a connection share one poll loop",
        "each trigger polls for itself, at the part of the interval that its district's id picks",
    ),
    "asset state store": (
        "a watcher goes on from its cursor after an outage",
        "each start of the triggerer begins the watch again: what synced meanwhile starts no run by itself",
    ),
    "task state store": (
        "a rescheduled wait keeps its baseline and what it has said",
        "the baseline is looked up at each poke; a condition is logged at each poke",
    ),
    "start from trigger": (
        "`start_from_trigger` spares the first poke's worker slot",
        "the option does nothing: a worker pokes once, then the task defers",
    ),
    "retry policies": (
        "a spent budget is retried with Clever's next window, and a `RetryPolicy` of yours may judge our typed errors",
        "a spent budget waits for `retry_delay`; what no retry can help fails at once, on every Airflow",
    ),
    "connection tests on workers": (
        "a connection can be tested where its tasks run",
        "the API server tests it, which has to reach Clever",
    ),
}
"""Which newer feature is used for what, and what happens on an Airflow that lacks it."""
