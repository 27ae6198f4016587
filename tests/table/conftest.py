"""The stores of the tests of landing."""

from tests.lake.conftest import any_store, azure, disk_or_s3, gcs, local, memory, s3

__all__ = ["any_store", "azure", "disk_or_s3", "gcs", "local", "memory", "s3"]
