"""A page of attendance, from bytes to checked rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.links import Links, cursor_in, links_of, page_links
from airflow_provider_clever.attendance.decode import (
    Extent,
    UnusableError,
    check,
    count_unknown,
    extent_of,
    record_batch,
)
from airflow_provider_clever.attendance.documented import read_documented
from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.attendance.schema import FIELD_NAMES
from airflow_provider_clever.attendance.values import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class AttendancePage:
    """One page of attendance. Its ``repr`` shows counts only.

    :param extent: what the usable rows are about.
    :param rejected: the rows that cannot be used.
    :param unknown_values: field -> number of usable rows with a value there that Clever does not document.
    :param surrogates_replaced: number of broken characters that became U+FFFD.
    :param read_links: gives the page's links.
    :param sent: gives the usable rows as Clever sent them.
    :param batch: gives the usable rows as a record batch, in PULLED_COLUMNS.
    """

    extent: Extent
    rejected: Sequence[RejectedRow]
    unknown_values: Mapping[str, int]
    surrogates_replaced: int
    read_links: Callable[[], Links] = field(repr=False)
    sent: Callable[[], list[dict[str, Any]]] = field(repr=False)
    batch: "Callable[[], pa.RecordBatch]" = field(repr=False)

    def __len__(self) -> int:
        return self.extent.rows

    def __repr__(self) -> str:
        last = ", last" if self.links.next is None else ""
        return f"AttendancePage({len(self)} rows, {len(self.rejected)} rejected{last})"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Give the usable rows as Clever sent them."""
        return self.sent()

    @property
    def links(self) -> Links:
        """Give the page's links."""
        return self.read_links()

    @property
    def next_link(self) -> str | None:
        """Give the link to the next page; None on the last."""
        return self.links.next

    @property
    def prev_link(self) -> str | None:
        """Give the link to the page before; None if Clever gave none, as on the first page."""
        return self.links.prev

    @property
    def next_cursor(self) -> str | None:
        """Give what to pass as ``starting_after`` for the next page; None on the last."""
        return None if self.next_link is None else cursor_in(urlsplit(self.next_link).query)

    @property
    def prev_cursor(self) -> str | None:
        """Give what to pass as ``ending_before`` for the page before; None if Clever gave no link to one.

        The page before may turn out to be empty: Clever does not promise that something precedes (clever-api.md 3.3).
        """
        return None if self.prev_link is None else cursor_in(urlsplit(self.prev_link).query, "ending_before")

    def without(self, misfits: Mapping[int, str], page: int) -> "AttendancePage":
        """Give the page with some of its usable rows rejected too.

        :param misfits: why, by place among the usable rows, from 0.
        :param page: the page's number in its walk, from 1.
        """
        rows = self.rows
        rejected = [
            RejectedRow(reason, page, place + 1, canonical_json(rows[place])) for place, reason in misfits.items()
        ]
        kept = [row for place, row in enumerate(rows) if place not in misfits]
        return _checked_page(kept, page, self.surrogates_replaced, self.links, [*self.rejected, *rejected])


def decode_page(body: bytes, page: int = 1) -> AttendancePage:
    """Read a page of attendance.

    :param body: the page as Clever sent it.
    :param page: its number in its walk, from 1, for what is said about rejected rows. Default 1.
    :raises CleverProtocolError: it is not JSON, or not a page.
    """
    value, replaced = read_json(body)
    envelope = page_object(value)
    return _checked_page(envelope.get("data") or [], page, replaced, links_of(envelope.get("links")))


def _checked_page(
    rows: list[Any], page: int, replaced: int, links: Links, rejected: Sequence[RejectedRow] = ()
) -> AttendancePage:
    found = check(rows, page)
    return AttendancePage(
        extent_of(found.values),
        [*rejected, *found.rejected],
        count_unknown(found.values),
        replaced,
        read_links=lambda: links,
        sent=lambda: found.usable,
        batch=lambda: record_batch(found.values),
    )


# --- without a Python object for each value ---------------------------------------------------------------------------


def decode_page_to_land(body: bytes, page: int = 1) -> AttendancePage:
    """Read a page of attendance that is going to land: the same page, sooner where it holds documented fields alone.

    :param body: the page as Clever sent it.
    :param page: its number in its walk, from 1. Default 1.
    :raises CleverProtocolError: it is not JSON, or not a page.
    """
    import pyarrow as pa

    try:
        columns = _documented_columns(body)
        found = columns and read_documented(columns)
    except (pa.ArrowInvalid, UnicodeDecodeError, UnusableError):
        found = None
    if not found:
        return decode_page(body, page)
    return AttendancePage(
        found.extent,
        (),
        found.unknown_values,
        0,
        read_links=lambda: page_links(body),
        sent=lambda: page_object(read_json(body)[0])["data"],
        batch=lambda: found.rows,
    )


def _documented_columns(body: bytes) -> "dict[str, pa.StringArray] | None":
    """The documented fields of a page that has rows and holds nothing else; pyarrow parses it without interpreter lock.

    :raises pyarrow.ArrowInvalid: it holds anything else.
    """
    import pyarrow as pa
    import pyarrow.json

    # pyarrow ends the whole process where a null stands first in a file.
    if not body.lstrip().startswith(b"{"):
        return None
    # One block: a page that was cut into blocks could only be cut at a line break.
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1)
    pages = pyarrow.json.read_json(pa.BufferReader(body), reading, parse_options=_parse_options())
    if pages.num_rows != 1:
        return None
    # Parsing looks at no byte of a text; whatever is not UTF-8 must not get further.
    if not body.isascii():
        pages.validate(full=True)
    rows, links = (pages.column(name).chunk(0).values for name in ("data", "links"))
    if rows.null_count or links.null_count or any(links.field(name).null_count for name in ("rel", "uri")):
        return None
    return {name: rows.field(name) for name in FIELD_NAMES} if len(rows) else None


@cache
def _parse_options() -> Any:
    import pyarrow as pa
    import pyarrow.json

    text = pa.string()
    row = pa.struct([(name, text) for name in FIELD_NAMES])
    link = pa.struct([("rel", text), ("uri", text)])
    page = pa.schema([("data", pa.list_(row)), ("links", pa.list_(link))])
    return pyarrow.json.ParseOptions(explicit_schema=page, unexpected_field_behavior="error")
