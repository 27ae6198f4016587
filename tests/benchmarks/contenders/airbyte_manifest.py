"""A declarative source of the Airbyte CDK: its records are counted and dropped, nothing is written.

Option ``concurrency``: the manifest's ``concurrency_level``; without it the CDK takes its lowest safe one.
"""

import logging
from typing import Any

from airbyte_cdk.models import (
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
    Type,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from measuring import Job, main

logging.disable(logging.WARNING)

NEXT_LINKS = "(response.links | selectattr('rel', 'equalto', 'next') | list)"

counted: dict[str, int] = {}


def _manifest(job: Job) -> dict[str, Any]:
    stream = {
        "type": "DeclarativeStream",
        "name": "attendance",
        "primary_key": ["attendance_date", "student_id", "school_id", "section_id"],
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": {}},
        },
        "retriever": {
            "type": "SimpleRetriever",
            "partition_router": {"type": "ListPartitionRouter", "cursor_field": "school", "values": job.school_ids},
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            },
            "requester": {
                "type": "HttpRequester",
                "url_base": job.origin,
                "path": "{{ '/v3.1/attendance/schools/' + stream_partition.school }}",
                "authenticator": {"type": "BearerAuthenticator", "api_token": job.token},
                "request_parameters": {
                    "date_range_start": job.first_day,
                    "date_range_end": job.last_day,
                    "limit": "1000",
                },
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {"type": "RequestPath"},
                "pagination_strategy": {
                    "type": "CursorPagination",
                    "cursor_value": f"{{{{ '{job.origin}' + {NEXT_LINKS}[0].uri }}}}",
                    "stop_condition": f"{{{{ not {NEXT_LINKS} }}}}",
                },
            },
        },
    }
    manifest = {
        "version": "7.39.1",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["attendance"]},
        "streams": [stream],
    }
    if "concurrency" in job.options:
        level = job.options["concurrency"]
        manifest["concurrency_level"] = {
            "type": "ConcurrencyLevel",
            "default_concurrency": level,
            "max_concurrency": level,
        }
    return manifest


def pull(job: Job) -> None:
    """Read the stream to its end."""
    stream = AirbyteStream(name="attendance", json_schema={}, supported_sync_modes=[SyncMode.full_refresh])
    catalog = ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=stream,
                sync_mode=SyncMode.full_refresh,
                destination_sync_mode=DestinationSyncMode.overwrite,
            )
        ]
    )
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=[], source_config=_manifest(job))
    messages = source.read(logging.getLogger("airbyte"), {}, catalog, [])
    counted[job.token] = sum(message.type == Type.RECORD for message in messages)


def count(job: Job) -> int:
    """The records that were counted."""
    return counted[job.token]


if __name__ == "__main__":
    main(pull, count)
