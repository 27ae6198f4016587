"""Prints the answers of commands on a terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from airflow_provider_clever.cli.diagnosis import Finding
    from airflow_provider_clever.lake.findings import VerifyReport
    from airflow_provider_clever.ledger.planner import DistrictPlan
    from airflow_provider_clever.ledger.reporting import DistrictReport, SchoolDays
    from airflow_provider_clever.ledger.surveying import Survey

_PLAN_COLUMNS: Final = ("gone", "retained", "expiring", "landed", "due", "requests", "minutes")
_COUNTED: Final = ("retained", "expiring", "covered", "due_days")
_CHECK_WIDTH: Final = 36
"""The length of the longest name of a check."""
_STATUS_COLUMNS: Final = ("gaps", "days left", "lost", "missing", "quarantined")


def show_plan(survey: "Survey", *, most_schools: int | None) -> None:
    """Show which days of a district are due.

    :param most_schools: how many of the schools with due days to show; None: all schools.
    """
    from airflow_provider_clever.ledger.reporting import estimate_note, lost_days

    console, plan = _console(), survey.plan
    console.print(f"[bold]{escape(survey.district.name or 'District')}[/bold] ({survey.district.id})", highlight=False)
    console.print(
        f"days looked at  {plan.span}\nlast sync       {_moment(survey.last_sync)} UTC\n"
        f"Clever still has attendance from {plan.first_retained} on"
        + (f"; {plan.gone_days} of these days are already gone" if plan.gone_days else ""),
        highlight=False,
    )
    due = [school for school in plan.schools if school.due or school.lost]
    shown = plan.schools if most_schools is None else due[:most_schools]
    table = _table("school", *_PLAN_COLUMNS, "due for", numbers=_PLAN_COLUMNS)
    for school in shown:
        table.add_row(
            escape(school.name or school.school_id),
            *map(_number, (plan.gone_days, *(getattr(school, name) for name in _COUNTED), school.requests)),
            _minutes(school.requests, plan),
            ", ".join(school.reasons),
        )
    if len(due) > len(shown):
        table.add_row(f"… {len(due) - len(shown)} more, with --all")
    sums = [sum(getattr(school, name) for school in plan.schools) for name in _COUNTED]
    counts = (plan.gone_days * len(plan.schools), *sums, plan.requests)
    table.add_section()
    table.add_row(f"{len(plan.schools)} schools", *map(_number, counts), _minutes(plan.requests, plan), style="bold")
    console.print(table)
    for reason, days in plan.reasons.items():
        console.print(f"  {days:>8,}  {reason}", highlight=False)
    tasks = "1 task" if len(plan.tasks) == 1 else f"{len(plan.tasks):,} tasks"
    console.print(
        f"{tasks}, about {plan.requests:,} requests, {_minutes(plan.requests, plan)} minutes within the token's budget"
        if plan.tasks
        else "Nothing is due.",
        highlight=False,
    )
    if note := estimate_note(plan):
        console.print(note, highlight=False)
    _name(console, "lost: Clever has forgotten these days, and they were never covered", lost_days(plan), "red")


def _minutes(requests: int | None, plan: "DistrictPlan") -> str:
    if not requests:
        return _number(requests)
    minutes = requests / plan.requests_per_minute
    return "< 0.1" if minutes < 0.1 else f"{minutes:,.1f}"


def show_status(reports: "Sequence[DistrictReport]") -> None:
    """Show the state of districts."""
    console = _console()
    table = _table("district", "last sync", "newest day", "schools", *_STATUS_COLUMNS, numbers=_STATUS_COLUMNS)
    for report in reports:
        lost = sum(span.days for days in report.lost for span in days.spans)
        is_troubled = report.gaps or report.failing or report.withheld
        style = "red" if report.about_to_be_lost else "yellow" if is_troubled else "green"
        troubled = {
            "failing": len(report.failing),
            "withheld": len(report.withheld),
            "gone": len(report.gone),
        }
        table.add_row(
            f"[{style}]●[/{style}]\N{NO-BREAK SPACE}{report.district_id}",
            _moment(report.last_sync),
            str(report.newest_day or "-"),
            ", ".join([str(report.schools), *(f"{count} {what}" for what, count in troubled.items() if count)]),
            _number(report.gaps),
            "-" if report.days_to_expiry is None else str(report.days_to_expiry),
            *map(_number, (lost, report.missing, report.quarantined)),
        )
    console.print(table)
    console.print(
        "last sync: UTC; gaps, lost: days of schools; days left: until Clever forgets the oldest gap; missing, "
        "quarantined: rows",
        style="dim",
    )
    for report in reports:
        which = f"{report.district_id}: " if len(reports) > 1 else ""
        _name(console, f"{which}about to be lost", report.about_to_be_lost, "red")
        _name(console, f"{which}lost: Clever has forgotten these days, and they were never covered", report.lost, "red")
        _name(console, f"{which}last pull failed", report.failing, "yellow")
        _name(console, f"{which}withheld: rows did not come back, and stand as they were", report.withheld, "yellow")
        _name(console, f"{which}no longer shared", report.gone, "dim")


def show_findings(report: "VerifyReport", details: Path | None) -> None:
    """Show what was found when everything was read again.

    :param details: the file that names the findings, if there is one.
    """
    from airflow_provider_clever.lake.findings import HARMLESS, KINDS

    console = _console()
    console.print(
        f"Read {report.partitions:,} partitions with {report.rows:,} rows and {report.receipts:,} receipts of "
        f"{len(report.districts)} districts.",
        highlight=False,
    )
    table = _table("found", "", numbers=("found",))
    for kind, words in KINDS.items():
        count = report.counts[kind]
        style = "dim" if not count else "yellow" if kind in HARMLESS else "bold red"
        table.add_row(_number(count), words, style=style)
    console.print(table)
    where = f"which: {details}" if details else "which: ask again with --details FILE (it will hold ids; keep it safe)"
    console.print("[green]All is as it was landed.[/green]" if report.ok else f"[red]Something is wrong[/red]; {where}")


def show_check(finding: "Finding") -> None:
    """Show one line of ``doctor``, as soon as its check has ended."""
    from airflow_provider_clever.cli.diagnosis import State

    styles = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red", State.NOT_CHECKED: "dim"}
    line = Table.grid(padding=(0, 2, 0, 0))
    for width in (max(map(len, State)), _CHECK_WIDTH):
        line.add_column(min_width=width)
    line.add_column(overflow="fold")
    line.add_row(f"[{styles[finding.state]}]{finding.state}", escape(finding.check), escape(finding.text))
    _console().print(line)


@contextmanager
def progress_bar(*, is_wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on the error stream, and give the callback that moves it. None: there is no terminal."""
    if not (is_wanted and sys.stderr.isatty()):
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading days"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console() -> Console:
    # A pipe has no width, so nothing may be cut off.
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return _PlainConsole() if is_terminal else _PlainConsole(width=200)


class _PlainConsole(Console):
    """A console that leaves a closed pipe to its caller: rich would exit with 1, which is a code of ours."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; rich calls this while it handles it."""
        raise  # noqa: PLE0704 - it is handled in the caller's frame


def _table(*headers: str, numbers: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    return table


def _name(console: Console, title: str, found: "Sequence[SchoolDays]", style: str) -> None:
    if found:
        console.print(f"\n[{style}]{title}[/{style}]", highlight=False)
        for days in found:
            console.print(f"  {days}", markup=False, highlight=False)


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else "·"


def _moment(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}" if text else "never"
