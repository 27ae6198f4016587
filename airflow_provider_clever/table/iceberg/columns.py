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
"""The property that tells a table of ours, and what it is of."""

WITH_BOUNDS: Final = names(lambda column: not column.personal)
"""Columns whose smallest and largest values are kept of a file. Of the others only counts are: a bound is a value of
one student, and would outlive the file in manifests."""

PROPERTIES: Final = {
    "format-version": "2",
    # A commit that met another one is made again by us, with what stands then.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "5",
}
"""What all of our tables have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """What one of our tables is like.

    :param name: what it is of.
    :param columns: in their order.
    :param partition: the column by whose values it is partitioned. Default: it is not.
    :param order: the columns by which a file is sorted.
    :param own_properties: beside those that all have.
    """

    name: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    partition: str | None = None
    own_properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """What a table of this kind is made with."""
        return {MARK: self.name, **PROPERTIES, **self.own_properties}

    def schema(self) -> Schema:
        """The columns; a catalog numbers them itself where it makes the table, and a number stays with its column."""
        return Schema(
            *(
                NestedField(number, column.name, _type_of(column), required=column.required, doc=doc_of(column))
                for number, column in enumerate(self.columns, 1)
            )
        )

    def partition_spec(self, schema: Schema) -> PartitionSpec:
        """By which column it is partitioned."""
        if self.partition is None:
            return PartitionSpec()
        source = schema.find_field(self.partition).field_id
        return PartitionSpec(PartitionField(source, _FIRST_PARTITION_FIELD, IdentityTransform(), self.partition))

    def sort_order(self, schema: Schema) -> SortOrder:
        """How a file is sorted."""
        return SortOrder(*(SortField(schema.find_field(name).field_id, IdentityTransform()) for name in self.order))

    def is_kind_of(self, table: PyIcebergTable) -> bool:
        """Whether we have made a table as one of this kind, and it is still partitioned as we left it."""
        fields = table.spec().fields
        sources = [(table.schema().find_column_name(one.source_id), str(one.transform)) for one in fields]
        expected = [(self.partition, "identity")] if self.partition else []
        return table.properties.get(MARK) == self.name and sources == expected

    def evolve(self, table: PyIcebergTable) -> bool:
        """Bring a table's columns up to today's: new ones, and what each means. False: they are.

        A column that others have added stays, and is null in what we write.
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
        # Its statistics need to be said of a new column, too.
        with table.transaction() as transaction:
            transaction.set_properties(self.properties)
        return True


def doc_of(column: Column) -> str:
    """What a column means, and whether it is personal."""
    return f"{column.meaning}{'; personal' if column.personal else ''}"


def _type_of(column: Column) -> IcebergType:
    return _TYPES.get(column.kind, StringType())


ATTENDANCE: Final = TableKind(
    name="attendance",
    columns=COLUMNS,
    order=ORDER,
    # By district alone: with a transform of the date DuckDB answers many filters with no row at all.
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
