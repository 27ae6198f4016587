"""The table's columns, partitions, order and properties, as the one schema has them."""

from typing import Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, IcebergType, NestedField, StringType, TimestamptzType

from airflow_provider_clever.attendance.schema import COLUMNS, Column, names
from airflow_provider_clever.table.month_file import ORDER

_TYPES: Final[dict[str, IcebergType]] = {"date": DateType(), "timestamp": TimestamptzType()}
_PARTITION: Final = "district_id"
_FIRST_PARTITION_FIELD: Final = 1000

MARK: Final = "clever.table"
"""The property that tells a table of ours."""

WITH_BOUNDS: Final = names(lambda column: not column.personal)
"""Columns whose smallest and largest values are kept of a file. Of the others only counts are: a bound is a value of
one student, and would outlive the file in manifests."""

PROPERTIES: Final = {
    MARK: "attendance",
    "format-version": "2",
    # `none` would have DuckDB find no row where something is null; `truncate(16)`, the default, keeps personal values,
    # and cannot tell districts apart whose ids begin alike.
    "write.metadata.metrics.default": "counts",
    **{f"write.metadata.metrics.column.{name}": "full" for name in WITH_BOUNDS},
    # A commit that met another one is made again by us, with the cursors that stand then.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "5",
}


def doc_of(column: Column) -> str:
    """What a column means, and whether it is personal."""
    return f"{column.meaning}{'; personal' if column.personal else ''}"


def table_schema() -> Schema:
    """The columns; a catalog numbers them itself where it makes the table, and a number stays with its column."""
    return Schema(
        *(
            NestedField(
                number,
                column.name,
                _TYPES.get(column.kind, StringType()),
                required=column.required,
                doc=doc_of(column),
            )
            for number, column in enumerate(COLUMNS, 1)
        )
    )


def partition_spec(schema: Schema) -> PartitionSpec:
    """By district alone: with a transform of the date DuckDB answers many filters with no row at all."""
    source = schema.find_field(_PARTITION).field_id
    return PartitionSpec(PartitionField(source, _FIRST_PARTITION_FIELD, IdentityTransform(), _PARTITION))


def sort_order(schema: Schema) -> SortOrder:
    """As rows have landed."""
    return SortOrder(*(SortField(schema.find_field(name).field_id, IdentityTransform()) for name in ORDER))


def is_ours(table: PyIcebergTable) -> bool:
    """Whether we have made a table, and it is still partitioned as we left it."""
    fields = table.spec().fields
    sources = [(table.schema().find_column_name(one.source_id), str(one.transform)) for one in fields]
    return table.properties.get(MARK) == PROPERTIES[MARK] and sources == [(_PARTITION, "identity")]


def evolve(table: PyIcebergTable) -> bool:
    """Bring a table's columns up to today's: new ones, and what each means. False: they are.

    A column that others have added stays, and is null in what we write.
    """
    schema = table.schema()
    known = {one.name: one for one in schema.fields}
    added = [column for column in COLUMNS if column.name not in known]
    described = [column for column in COLUMNS if column.name in known and known[column.name].doc != doc_of(column)]
    if not added and not described:
        return False
    with table.update_schema() as update:
        for column in added:
            update.add_column(column.name, _TYPES.get(column.kind, StringType()), doc=doc_of(column))
            before = COLUMNS[COLUMNS.index(column) - 1].name
            update.move_after(column.name, before)
        for column in described:
            update.update_column(column.name, doc=doc_of(column))
    # Its statistics need to be said of a new column, too.
    with table.transaction() as transaction:
        transaction.set_properties(PROPERTIES)
    return True
