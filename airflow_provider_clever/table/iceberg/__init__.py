"""The table in Apache Iceberg, through pyiceberg. Only ``catalogs`` may be imported where pyiceberg may be missing."""
