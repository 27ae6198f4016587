"""Tells OpenLineage where a task's rows come from and go to. Its provider calls this, and has what is imported here.

Datasets are named as https://openlineage.io/docs/spec/naming says. They contain districts, columns and counts only.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_clever.attendance.schema import COLUMNS, FIELDS, Column
from airflow_provider_clever.hooks.destinations import OpenDestination
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.consoles import azure_account

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

_TYPES: Final = {"id": "string", "text": "string", "json": "string", "date": "date", "timestamp": "timestamp[us, UTC]"}


def lineage_of(operator: Any) -> "OperatorLineage":
    """Give the datasets that a task has read and written.

    :param operator: one of ours, after it was executed.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    district_id = operator.found_district.id if operator.found_district else operator.district_id
    inputs, outputs = (
        [made for name in names if (made := _DATASETS[name](operator, district_id)) is not None]
        for names in (operator.lineage_inputs, operator.lineage_outputs)
    )
    return OperatorLineage(inputs=inputs, outputs=outputs)


def _at_clever(operator: Any, district_id: str | None) -> Any:
    """Give the dataset of the district's attendance at Clever, with rows that could not be used."""
    from openlineage.client.event_v2 import InputDataset

    if operator.found_origin is None or district_id is None:
        return None
    return InputDataset(
        namespace=operator.found_origin,
        name=f"districts/{district_id}/attendance",
        facets=_schema(FIELDS),
        inputFacets=_quality(operator.found_summary or {}, _OF_A_PULL, "received"),
    )


def _read_at_destination(operator: Any, district_id: str | None) -> Any:
    """Give the dataset of a district's partitions with assertions; without a district, that of all."""
    from openlineage.client.event_v2 import InputDataset

    if operator.found_place is None:
        return None
    namespace, name = _place(operator.found_place, layout.landed_prefix(district_id) if district_id else "attendance")
    quality = _quality(operator.found_summary or {}, _OF_A_DISTRICT)
    return InputDataset(namespace=namespace, name=name, facets=_schema(COLUMNS), inputFacets=quality)


def _written_at_destination(operator: Any, district_id: str | None) -> Any:
    """Give the dataset of the district's partitions, with how many rows landed in how many files."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    if operator.found_place is None:
        return None
    namespace, name = _place(operator.found_place, layout.landed_prefix(district_id) if district_id else "attendance")
    summary = operator.found_summary or {}
    statistics = {}
    if "rows" in summary:
        statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=summary["rows"], fileCount=summary["written"]
        )
    return OutputDataset(namespace=namespace, name=name, facets=_schema(COLUMNS), outputFacets=statistics)


def _table(operator: Any, _: str | None) -> Any:
    """Give the dataset of the table, with the rows that were written."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    if (table := operator.found_table) is None:
        return None
    if "table" in table:
        namespace, name = f"{table['kind']}://{table['catalog']}", table["table"]
    else:
        namespace, name = _place(operator.found_place, "attendance_by_month")
    rows = (operator.found_summary or {}).get("rows_written")
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return OutputDataset(
        namespace=namespace, name=name, facets=_schema(COLUMNS), outputFacets={"outputStatistics": statistics}
    )


_DATASETS: Final[dict[str, Callable[[Any, str | None], Any]]] = {
    "clever": _at_clever,
    "lake": _read_at_destination,
    "landed": _written_at_destination,
    "table": _table,
}
"""The names that an operator may use in ``lineage_inputs`` and ``lineage_outputs``."""


def _place(place: OpenDestination, path: str) -> tuple[str, str]:
    """Give the namespace and name of a path below a destination."""
    url = place.url
    if url.scheme == "file":
        return "file", f"{url.root}/{path}"
    bucket, _, name = f"{url.root}/{path}".partition("/")
    if url.kind.extra == "azure":
        account = azure_account(place.objects.fs)
        return f"abfss://{bucket}{f'@{account}.dfs.core.windows.net' if account else ''}", name
    scheme = {"s3": "s3", "gcs": "gs"}.get(url.kind.extra or "", url.scheme)
    return f"{scheme}://{bucket}", name


def _schema(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Describe the columns, each marked as personal or not."""
    from openlineage.client.facet_v2 import schema_dataset

    facets: dict[str, Any] = {
        "schema": schema_dataset.SchemaDatasetFacet(
            fields=[
                schema_dataset.SchemaDatasetFacetFields(
                    name=column.name,
                    type=_TYPES[column.kind],
                    description=f"{column.meaning} ({'personal' if column.personal else 'not personal'})",
                )
                for column in columns
            ]
        )
    }
    with suppress(ImportError):  # clients before 1.27
        from openlineage.client.facet_v2 import tags_dataset

        facets["tags"] = tags_dataset.TagsDatasetFacet(
            tags=[
                tags_dataset.TagsDatasetFacetFields(
                    key="personal", value=str(column.personal).lower(), source="INTEGRATION", field=column.name
                )
                for column in columns
            ]
        )
    return facets


_OF_A_PULL: Final = {
    "no_rows_quarantined": "quarantined",
    "no_schools_withheld": "schools_withheld",
    "no_schools_failed": "schools_failed",
}
_OF_A_DISTRICT: Final = {
    "no_gaps": "gaps",
    "no_schools_withheld": "schools_withheld",
    "no_schools_failing": "failing",
    "no_days_about_to_be_lost": "about_to_be_lost",
}
"""Assertions, each with the figure or list of the summary that is 0 or empty if it holds."""


def _quality(summary: dict[str, Any], promises: dict[str, str], rows: str = "") -> dict[str, Any]:
    """Give the quality facets of a summary: which assertions hold, and how many rows there were."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as metrics

    found = {name: summary[key] for name, key in promises.items() if key in summary}
    facets: dict[str, Any] = {}
    if found:
        facets["dataQualityAssertions"] = assertions.DataQualityAssertionsDatasetFacet(
            assertions=[assertions.Assertion(assertion=name, success=not value) for name, value in found.items()]
        )
    if rows in summary:
        facets["dataQualityMetrics"] = metrics.DataQualityMetricsInputDatasetFacet(
            rowCount=summary[rows], columnMetrics={}
        )
    return facets
