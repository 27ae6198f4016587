"""Columns, partitions, order and properties of our tables, as the one schema has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as PyIcebergTable
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, IcebergType, NestedField, StringType, TimestamptzType

from airflow_provider_clever.attendance.schema import COLUMNS, Column, names
from airflow_provider_clever.table.month_file import ORDER
from airflow_provider_clever.table.schools import SCHOOL_COLUMNS

_TYPES: Final[dict[str, IcebergType]] = {"date": DateType(), "timestamp": TimestamptzType()}
_FIRST_PARTITION_FIELD: Final = 1000

MARK: Final = "clever.table"
"""The property that marks a table of ours, and names its kind."""

WITH_BOUNDS: Final = names(lambda column: not column.personal)
"""Columns with smallest and largest values in a file's statistics. For the others there are only counts: a bound is a
value of one student, and would outlive the file in manifests."""

PROPERTIES: Final = {
    "format-version": "2",
    # If another commit was faster, we prepare ours again on top of it.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "5",
}
"""The properties of all our tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """A kind of Iceberg table that this package makes.

    :param name: the name of the kind.
    :param columns: the columns, in order.
    :param partition: the column by whose values it is partitioned. Default: it is not partitioned.
    :param order: the columns by which a file is sorted.
    :param own_properties: properties besides those of all tables.
    """

    name: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    partition: str | None = None
    own_properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """The properties with which a table of this kind is made."""
        return {MARK: self.name, **PROPERTIES, **self.own_properties}

    def schema(self) -> Schema:
        """Give the columns. The catalog numbers them when it makes the table, and a column keeps its number."""
        return Schema(
            *(
                NestedField(number, column.name, _type_of(column), required=column.required, doc=doc_of(column))
                for number, column in enumerate(self.columns, 1)
            )
        )

    def partition_spec(self, schema: Schema) -> PartitionSpec:
        """Give the partition spec."""
        if self.partition is None:
            return PartitionSpec()
        source = schema.find_field(self.partition).field_id
        return PartitionSpec(PartitionField(source, _FIRST_PARTITION_FIELD, IdentityTransform(), self.partition))

    def sort_order(self, schema: Schema) -> SortOrder:
        """Give the sort order."""
        return SortOrder(*(SortField(schema.find_field(name).field_id, IdentityTransform()) for name in self.order))

    def is_kind_of(self, table: PyIcebergTable) -> bool:
        """Whether this package made a table as one of this kind, and its partitioning has not changed since."""
        fields = table.spec().fields
        sources = [(table.schema().find_column_name(one.source_id), str(one.transform)) for one in fields]
        expected = [(self.partition, "identity")] if self.partition else []
        return table.properties.get(MARK) == self.name and sources == expected

    def evolve(self, table: PyIcebergTable) -> bool:
        """Add new columns to a table, and update what each means. False: nothing was to change.

        A column that others have added stays, and is null in rows that we write.
        """
        schema = table.schema()
        known = {one.name: one for one in schema.fields}
        added = [column for column in self.columns if column.name not in known]
        described = [
            column for column in self.columns if column.name in known and known[column.name].doc != doc_of(column)
        ]
        if not added and not described:
            return False
        with table.update_schema() as update:
            for column in added:
                update.add_column(column.name, _type_of(column), doc=doc_of(column))
                before = self.columns[self.columns.index(column) - 1].name
                update.move_after(column.name, before)
            for column in described:
                update.update_column(column.name, doc=doc_of(column))
        # A new column needs the properties of its statistics, too.
        with table.transaction() as transaction:
            transaction.set_properties(self.properties)
        return True


def doc_of(column: Column) -> str:
    """Say what a column means, and whether it is personal."""
    return f"{column.meaning}{'; personal' if column.personal else ''}"


def _type_of(column: Column) -> IcebergType:
    return _TYPES.get(column.kind, StringType())


ATTENDANCE: Final = TableKind(
    name="attendance",
    columns=COLUMNS,
    order=ORDER,
    # By district alone: with a transform of the date, DuckDB returns no rows for many filters.
    partition="district_id",
    own_properties={
        # `none` would have DuckDB find no row where something is null; `truncate(16)`, the default, keeps personal
        # values, and cannot tell districts apart whose ids begin alike.
        "write.metadata.metrics.default": "counts",
        **{f"write.metadata.metrics.column.{name}": "full" for name in WITH_BOUNDS},
    },
)
SCHOOLS: Final = TableKind(name="schools", columns=SCHOOL_COLUMNS, order=("district_id", "school_id"))
"""Not partitioned: all districts together have fewer rows than one has in a day, and one file is one request."""
