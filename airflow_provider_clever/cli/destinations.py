"""Opens the destination that a command names, and finds the districts that have landed there."""

from collections.abc import Sequence

from airflow_provider_clever.cli.connections import airflow_on_stderr
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.destinations import OpenDestination, open_destination
from airflow_provider_clever.lake import layout
from airflow_provider_clever.lake.verify import districts_at
from airflow_provider_clever.storage.destination_url import path_as_url
from airflow_provider_clever.storage.objects import Objects


def opened(destination: str, *, single_writer: bool = True) -> OpenDestination:
    """Open a destination.

    :param destination: its URL, or an absolute path on this machine.
    :param single_writer: False: refuse a store that cannot compare and swap. Default True, for what only reads.
    :raises CleverError: it cannot be opened.
    """
    with airflow_on_stderr():
        return open_destination(path_as_url(destination), single_writer=single_writer)


def objects_at(destination: str) -> Objects:
    """Open the objects at a destination. What commands write there, they write by compare-and-swap.

    :param destination: its URL, or an absolute path on this machine.
    :raises CleverError: it cannot be opened.
    """
    place = opened(destination)
    return layout.objects_at(place.objects.fs, place.objects.root)


def chosen_districts(objects: Objects, destination: str, asked: Sequence[str] | None) -> list[str]:
    """Give the districts to read, in order.

    :param objects: the destination.
    :param destination: as it was typed.
    :param asked: the districts that were named; empty: all that have landed.
    :raises CleverSettingsError: nothing has landed, or nothing of a named district.
    """
    found = districts_at(objects)
    if not found:
        raise CleverSettingsError(
            f"Nothing has landed at {destination}: no district has a folder there. Check the destination."
        )
    unknown = sorted({*(asked or ())} - {*found})
    if unknown:
        raise CleverSettingsError(
            f"Nothing of {', '.join(unknown)} has landed at {destination}. There are: {', '.join(found)}."
        )
    return list(dict.fromkeys(asked or found))
