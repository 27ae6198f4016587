"""Run in an environment of its own: put questions to an engine, and keep each answer as a Parquet file.

``python ask_engine.py ENGINE FOLDER ANSWERS``, conditions in SQL as a JSON list on standard input.
"""

import json
import sys
from pathlib import Path


def ask_duckdb(folder: str, where: str, answer: Path) -> None:
    """DuckDB's own extension for Iceberg, which knows nothing of pyiceberg."""
    import duckdb
    import duckdb_ext

    with duckdb.connect() as connection:
        duckdb_ext.init(connection)
        connection.execute("LOAD avro; LOAD iceberg; SET TimeZone = 'America/Denver'")
        connection.execute(f"COPY (SELECT * FROM iceberg_scan('{folder}') WHERE {where}) TO '{answer}'")


def ask_chdb(folder: str, where: str, answer: Path) -> None:
    """ClickHouse's table function for Iceberg."""
    import chdb

    answer.unlink(missing_ok=True)
    chdb.query(f"SELECT * FROM icebergLocal('{folder}') WHERE {where} INTO OUTFILE '{answer}' FORMAT Parquet")


if __name__ == "__main__":
    name, table, answers = sys.argv[1:]
    for number, condition in enumerate(json.load(sys.stdin)):
        {"duckdb": ask_duckdb, "chdb": ask_chdb}[name](table, condition, Path(answers, f"{number}.parquet"))
