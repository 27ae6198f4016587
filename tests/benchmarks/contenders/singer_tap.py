"""A tap of the Singer SDK with its msgspec writer; the Singer messages go to a file instead of the standard output."""

import io
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import requests
from measuring import Job, count_lines, main
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import BaseHATEOASPaginator

logging.disable(logging.WARNING)

TEXT = ("district_id", "excuse_code", "school_id", "section_id", "sis_id", "student_id")


class NextLink(BaseHATEOASPaginator):
    """Follows the link called next."""

    def get_next_url(self, response: requests.Response) -> str | None:
        """The link, relative to the origin."""
        links = response.json()["links"]
        return next((link["uri"] for link in links if link["rel"] == "next"), None)


class Attendance(RESTStream[Any]):
    """One partition per school."""

    name = "attendance"
    path = "/v3.1/attendance/schools/{school_id}"
    primary_keys = ("attendance_date", "student_id", "school_id", "section_id")
    records_jsonpath = "$.data[*]"
    schema = th.PropertiesList(
        th.Property("attendance_date", th.DateType),
        th.Property("attendance_status", th.StringType),
        th.Property("attendance_type", th.StringType),
        th.Property("created", th.DateTimeType),
        th.Property("last_modified", th.DateTimeType),
        *(th.Property(name, th.StringType) for name in TEXT),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """The origin."""
        return str(self.config["origin"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """The bearer token."""
        return BearerTokenAuthenticator(token=self.config["token"])

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """The schools."""
        return [{"school_id": school_id} for school_id in self.config["school_ids"]]

    def get_new_paginator(self) -> NextLink:
        """A walk along the next links."""
        return NextLink()

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        """The range and the page size, or all that the next link says."""
        if next_page_token:
            return dict(parse_qsl(next_page_token.query))
        return {
            "date_range_start": self.config["first_day"],
            "date_range_end": self.config["last_day"],
            "limit": 1000,
        }

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """The rows, without the detour over JSONPath."""
        yield from response.json()["data"]


class TapAttendance(Tap):
    """The one stream."""

    name = "tap-attendance"
    message_writer_class = MsgSpecWriter
    config_jsonschema = th.PropertiesList(
        th.Property("origin", th.StringType),
        th.Property("token", th.StringType),
        th.Property("first_day", th.StringType),
        th.Property("last_day", th.StringType),
        th.Property("school_ids", th.ArrayType(th.StringType)),
    ).to_dict()

    def discover_streams(self) -> list[Attendance]:
        """The one stream."""
        return [Attendance(self)]


def pull(job: Job) -> None:
    """Write the messages of one sync."""
    names = ("origin", "token", "first_day", "last_day", "school_ids")
    config = {name: getattr(job, name) for name in names}
    standard_output = sys.stdout
    with Path(job.folder, "messages.jsonl").open("wb") as out:
        sys.stdout = io.TextIOWrapper(out, write_through=True)
        try:
            TapAttendance(config=config).sync_all()
        finally:
            sys.stdout = standard_output


def count(job: Job) -> int:
    """The messages that are records."""
    return count_lines(job.folder, "messages.jsonl", b'"RECORD"')


if __name__ == "__main__":
    main(pull, count)
