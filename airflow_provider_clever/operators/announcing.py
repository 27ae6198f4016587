"""Emits an asset event for what a task has changed, and none if nothing has changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context

from airflow_provider_clever.assets import TABLE_ALIAS, landed_alias, landed_asset, table_asset, text_of_ranges
from airflow_provider_clever.dates import DateRange, days_of, joined

NAMED_RECEIPTS: Final = 20
"""How many receipts an event names; a run with more pulls has them in its XComs."""

ASKED_KEY: Final = "asked"
"""Under this key of XCom a pull that does not announce says which days it is about to ask for."""


def declare(operator: BaseOperator, alias: AssetAlias, asset: Asset | None) -> None:
    """Add to an operator's outlets the asset of which it will announce changes. For its constructor.

    :param alias: the alias under which the event is emitted, too.
    :param asset: the asset; None: it is known only once templates are rendered.
    """
    wanted = [alias, asset] if asset else [alias]
    operator.outlets = [*operator.outlets, *(one for one in wanted if one not in operator.outlets)]


def announce(
    operator: BaseOperator,
    context: Context,
    alias: AssetAlias,
    asset: Asset,
    extra: Mapping[str, str | int] | None,
    *,
    partitions: Sequence[str] = (),
) -> None:
    """Announce a change of an asset once the task has succeeded, or that there is none. For ``execute``.

    One event starts the DAGs that are scheduled on the asset. From Airflow 3.3 on, if the asset is declared, DAGs that
    are scheduled on its partitions get one event for each partition, too.

    :param alias: as it was declared.
    :param extra: the content of the event: small, and without lists. None: nothing has changed.
    :param partitions: the partitions that have changed.
    """
    is_declared = asset in operator.outlets
    # Airflow emits an event for every outlet that is an asset when its task succeeds, even if no partition is named. So
    # the asset is an outlet only if it has partitions. For an alias it emits only the events that were added.
    operator.outlets = [one for one in operator.outlets if one != asset]
    if extra is None:
        return
    events = context["outlet_events"]
    events[alias].add(asset, extra=dict(extra))
    if is_declared and partitions and hasattr(events[asset], "add_partitions"):
        events[asset].extra.update(extra)
        events[asset].add_partitions(list(partitions))
        operator.outlets = [*operator.outlets, asset]


def leave_asked(context: Context, days: DateRange, district_id: str | None) -> None:
    """Leave word of the days that a pull is about to ask for, in case it is killed and leaves no summary.

    :param days: all that it may change.
    :param district_id: whose attendance; None: the pull finds out only when it asks Clever.
    """
    first, last = days.to_json()
    asked = {"district_id": district_id, "date_range_start": first, "date_range_end": last}
    context["ti"].xcom_push(ASKED_KEY, asked)


def announce_landed(
    operator: BaseOperator,
    context: Context,
    destination: str,
    district_id: str,
    summaries: Sequence[Mapping[str, Any]],
    also: Iterable[DateRange] = (),
) -> None:
    """Announce the days that pulls have changed.

    :param summaries: the summaries of the pulls.
    :param also: more days that may have changed. Default: none.
    """
    log = operator.log
    days = joined([*also, *(DateRange.from_json(one) for found in summaries for one in found["changed_days"])])
    receipts = [found["receipt"] for found in summaries]
    extra: dict[str, str | int] = {
        "district_id": district_id,
        "changed_days": text_of_ranges(days),
        "changed_rows": int(sum(found["changed_rows"] for found in summaries)),
        "receipts": " ".join(receipts[:NAMED_RECEIPTS]),
        "pulls": len(receipts),
    }
    log.info("Announced as changed: %s", ", ".join(map(str, days)) or "nothing, so there is no event")
    announce(
        operator,
        context,
        landed_alias(),
        landed_asset(destination, district_id),
        extra if days else None,
        partitions=[day.isoformat() for day in days_of(days)],
    )


def announce_table(
    operator: BaseOperator, context: Context, destination: str, table: str, summary: Mapping[str, Any]
) -> None:
    """Announce that a table has changed, if it has.

    :param table: the kind of table.
    :param summary: that of its update; of one that was killed, what it left.
    """
    figures = {name: summary.get(name, 0) for name in ("districts_changed", "months_written", "months_removed")}
    operator.log.info("Announced: %s", figures if summary["changed"] else "nothing, because nothing has changed")
    extra = figures if summary["changed"] else None
    announce(operator, context, AssetAlias(TABLE_ALIAS), table_asset(destination, table), extra)
