"""Announces what a task has changed, as events of an asset; a task that has changed nothing announces nothing."""

from collections.abc import Mapping, Sequence

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context


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
    from 3.2 on, and the asset is declared, DAGs that are scheduled on its partitions get an event for each of them.

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
