"""Announces what a task has changed, as events of an asset; a task that has changed nothing announces nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context

from airflow_provider_clever.assets import landed_alias, landed_asset, text_of_ranges
from airflow_provider_clever.dates import DateRange, days_of, joined

NAMED_RECEIPTS: Final = 20
"""How many receipts an event names; a run with more pulls has them in its XComs."""


def declare(operator: BaseOperator, alias: AssetAlias, asset: Asset | None) -> None:
    """Name what an operator will announce among its outlets. For its constructor.

    :param alias: what is announced goes under this, too.
    :param asset: of which it will announce changes; None: that is known only once templates are rendered.
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

    DAGs that are scheduled on the asset are started by one event with everything in it. Where Airflow has partitions,
    from 3.3 on, and the asset is declared, DAGs that are scheduled on its partitions get an event for each of them.

    :param alias: as it was declared.
    :param extra: what the event says: small, and without lists. None: nothing has changed.
    :param partitions: which partitions have changed.
    """
    is_declared = asset in operator.outlets
    # An outlet that is an asset has an event whenever its task succeeds, one without partitions if none are named; so
    # it stays only for its partitions. The alias has those events that were added.
    operator.outlets = [one for one in operator.outlets if one != asset]
    if extra is None:
        return
    events = context["outlet_events"]
    events[alias].add(asset, extra=dict(extra))
    if is_declared and partitions and hasattr(events[asset], "add_partitions"):
        events[asset].extra.update(extra)
        events[asset].add_partitions(list(partitions))
        operator.outlets = [*operator.outlets, asset]


def announce_landed(
    operator: BaseOperator,
    context: Context,
    destination: str,
    district_id: str,
    summaries: Sequence[Mapping[str, Any]],
    also: Iterable[DateRange] = (),
) -> None:
    """Announce the days that pulls have changed.

    :param summaries: of the pulls.
    :param also: days that may have changed besides. Default: none.
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
