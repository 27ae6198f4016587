"""Opens a destination, for operators, sensor and command line alike.

A path on this machine needs no Airflow, so Airflow is imported only where it is used. Any other store is opened by what
Airflow's provider packages register for its scheme (``filesystems`` in their provider info), over the connection that
the URL names.
"""

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.storage.destination_url import FOREIGN_CONN_TYPES, KINDS, DestinationUrl, destination_url
from airflow_provider_clever.storage.errors import described

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from airflow_provider_clever.storage.objects import Objects


class OpenDestination(NamedTuple):
    """A destination that can be read and written.

    :param url: its URL.
    :param objects: its objects.
    """

    url: DestinationUrl
    objects: "Objects"


def open_destination(given: object, *, single_writer: bool = False) -> OpenDestination:
    """Check and open a destination; nothing of it is read yet.

    :param given: its text, such as ``s3://aws_default@bucket/prefix`` or ``file:///data/clever``; templates rendered.
    :param single_writer: True: stores that cannot compare and swap are accepted. Default False.
    :raises CleverSettingsError: it does not name one place, its connection is missing, or what reaches it is not
        installed.
    :raises CleverLandingError: the store's library could not be set up; trying again may help.
    """
    from airflow_provider_clever.lake.layout import objects_at

    url = destination_url(given, single_writer=single_writer)
    if url.conn_id is not None:
        _check_connection(url, url.conn_id)
    return OpenDestination(url, objects_at(_file_system(url), url.root, single_writer=single_writer))


def refuse_forgotten_at(destination: str, district_id: str) -> None:
    """Make sure that a district may be watched for a destination.

    :raises CleverSettingsError: it was forgotten there.
    :raises CleverLandingError: the destination cannot be read.
    """
    from airflow_provider_clever.lake.forgotten import refuse_forgotten

    # Reading needs no store that compares and swaps.
    refuse_forgotten(open_destination(destination, single_writer=True).objects, district_id)


def _check_connection(url: DestinationUrl, conn_id: str) -> None:
    """Check that the connection exists and fits. If not, Amazon's provider would use the machine's own credentials."""
    from airflow_provider_clever.compat import AirflowNotFoundException, get_connection

    try:
        connection = get_connection(conn_id)
    except AirflowNotFoundException:
        raise CleverSettingsError(
            f"destination {url}: there is no Airflow connection {conn_id} that this task can read. Make it, or correct "
            f"the name; to use what the machine itself may reach, leave {conn_id}@ out."
        ) from None
    if connection.conn_type in FOREIGN_CONN_TYPES - url.kind.conn_types:
        raise CleverSettingsError(
            f"destination {url}: {conn_id} is a connection of type {connection.conn_type}, which does not reach "
            f"{url.kind.name}. Name one that does."
        )


def _file_system(url: DestinationUrl) -> "AbstractFileSystem":
    if url.scheme == "file":
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem()
    try:
        from airflow.sdk.io import get_fs, has_fs

        if has_fs(url.scheme):
            return get_fs(url.scheme, url.conn_id)
    except ImportError:
        pass
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # fields of a connection that cannot be used
        raise CleverSettingsError(
            f"destination {url}: {_user(url)} cannot be used for {url.kind.name} ({type(error).__name__}). Look at "
            "its fields."
        ) from None
    except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds
        raise CleverLandingError(described("open", str(url), error)) from None
    raise _missing(url)


def _user(url: DestinationUrl) -> str:
    return f"Airflow connection {url.conn_id}" if url.conn_id else "what is set up on this machine"


def _missing(url: DestinationUrl) -> CleverSettingsError:
    if url.scheme not in KINDS:
        return CleverSettingsError(
            f"destination {url}: no installed Airflow provider package reaches stores of kind {url.scheme}. Install "
            "the one that does, or choose another destination."
        )
    return CleverSettingsError(
        f"destination {url}: what reaches {url.kind.name} is not installed. Run: "
        f"pip install 'airflow-provider-clever[{url.kind.extra}]'"
    )
