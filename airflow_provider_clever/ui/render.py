"""Renders views as HTML, for the page in Airflow and for the file that ``clever-attendance report`` writes."""

from calendar import Calendar, day_name
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_clever.dates import DateRange
from airflow_provider_clever.lake.receipts import Receipt
from airflow_provider_clever.ui.day_states import MEANINGS, URGENT, DayState, SchoolCalendar, months
from airflow_provider_clever.ui.views import DistrictRow, DistrictView
from airflow_provider_clever.ui.visits import Visits

if TYPE_CHECKING:
    from jinja2 import Environment

_MOST_STRETCHES: Final = 6
"""How many open stretches a school's line names; its own page has them all."""


class Links(Protocol):
    """The addresses to which a view links; an empty text is no link."""

    def overview(self) -> str:
        """All districts."""
        ...

    def district(self, of: DistrictRow | DistrictView) -> str:
        """One district."""
        ...

    def school(self, of: DistrictView, school_id: str) -> str:
        """One school."""
        ...

    def day(self, of: DistrictView, school_id: str, day: date) -> str:
        """One day of a school."""
        ...

    def answer(self, of: DistrictView) -> str:
        """Where an answer about withheld rows is posted; empty if the user may not give one."""
        ...

    def dag(self, dag_id: str) -> str:
        """A DAG's runs."""
        ...


@dataclass(frozen=True, slots=True)
class LinksInFile:
    """The links of a report: only to its own sections.

    :param sections: the ids of the districts that have one.
    """

    sections: Collection[str] = ()

    def district(self, of: DistrictRow | DistrictView) -> str:
        """Give the district's section, if it has one."""
        district_id = of.district.district_id
        return f"#district-{district_id}" if district_id in self.sections else ""

    def overview(self, *_: object) -> str:
        """Give none."""
        return ""

    school = day = answer = dag = overview


@dataclass(frozen=True, slots=True)
class Page:
    """Renders pages.

    :param links: the addresses to which they link.
    :param now: the present moment.
    :param nonce: marks the page's own styles and script for the browser; empty for a file.
    :param in_airflow: whether Airflow shows the page in a frame: it then follows the theme that is chosen there, and
        its links to Airflow's own pages leave the frame.
    """

    links: Links
    now: datetime
    nonce: str = ""
    in_airflow: bool = False

    def overview(
        self, rows: Sequence[DistrictRow], *, problems: Sequence[str] = (), query: str = "", searchable: bool = True
    ) -> str:
        """Render the overview of districts.

        :param problems: why other districts are not shown.
        :param query: the text that was searched for.
        """
        words = (
            "No district matches."
            if query
            else (
                "No district to show. It lists the districts of DAGs that the factory makes, and those that have "
                "landed at the destinations in the option [clever] destinations."
            )
        )
        return self._html(
            "overview", rows=rows, problems=problems, query=query, searchable=searchable, empty_words=words
        )

    def district(self, view: DistrictView, *, notice: str = "") -> str:
        """Render one district, school by school."""
        return self._html("district", view=view, notice=notice)

    def school(self, view: DistrictView, calendar: SchoolCalendar) -> str:
        """Render one school, month by month."""
        states = {day: stretch.state for stretch in calendar.stretches for day in stretch.days}
        return self._html(
            "school",
            view=view,
            calendar=calendar,
            months=months(view.shown),
            weeks=_weeks,
            weekday_names=list(day_name),
            states_by_day=states,
        )

    def day(self, view: DistrictView, calendar: SchoolCalendar, day: date, visits: Visits, run_links: list[str]) -> str:
        """Render one day of a school: its state, and the pulls that asked for it.

        :param run_links: of each visit, the address of the task that made it; empty: not known.
        """
        state = next(
            (stretch.state for stretch in calendar.stretches if day in stretch.days),
            DayState.NOT_YET,
        )
        shown = [
            {"finished_at": one.finished_at, "words": one.words, "path": one.path, "run_link": link}
            for one, link in zip(visits.found, run_links, strict=True)
        ]
        is_open = state in URGENT and state is not DayState.LOST
        return self._html(
            "day",
            view=view,
            calendar=calendar,
            day=day,
            state=state,
            visits=shown,
            is_cut=visits.is_cut,
            is_open=is_open,
        )

    def receipt(self, view: DistrictView, receipt: Receipt, run_link: str) -> str:
        """Render what one pull asked for and what it changed.

        :param run_link: the address of the task that made it; empty: not known.
        """
        return self._html("receipt", view=view, receipt=receipt, run_link=run_link)

    def report(
        self,
        destination: str,
        rows: Sequence[DistrictRow],
        views: Sequence[DistrictView],
        *,
        problems: Sequence[str] = (),
        left_out: int = 0,
    ) -> str:
        """Render all districts of a destination as one file."""
        return self._html(
            "report", destination=destination, rows=rows, views=views, problems=problems, left_out=left_out
        )

    def _html(self, template: str, **values: Any) -> str:
        return (
            _templates()
            .get_template(f"{template}.html.j2")
            .render(
                **values,
                links=self.links,
                nonce=self.nonce,
                in_airflow=self.in_airflow,
                states=list(DayState),
                meanings=MEANINGS,
                months_of=months,
                most_stretches=_MOST_STRETCHES,
                generated=f"As of {self.now:%Y-%m-%d %H:%M} UTC",
            )
        )


def _weeks(month: DateRange) -> Iterator[list[date | None]]:
    for week in Calendar().monthdatescalendar(month.first.year, month.first.month):
        yield [day if day in month else None for day in week]


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("airflow_provider_clever.ui"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
