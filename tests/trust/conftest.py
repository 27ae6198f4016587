"""The stores that the landing tests start, for these as well."""

from tests.lake.conftest import azure, gcs, local, memory, s3

__all__ = ["azure", "gcs", "local", "memory", "s3"]
