"""Finds the Iceberg catalog of an Airflow connection."""

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage.destination_url import DestinationUrl
from airflow_provider_clever.table.iceberg.catalogs import DEFAULT_TABLE, EMBEDDED, CatalogSettings, embedded_catalog


def iceberg_catalog(url: DestinationUrl, conn_id: str | None, table: str | None = None) -> CatalogSettings:
    """Give the catalog of a connection; without one, the embedded catalog beside the destination.

    The fields are those of the connection type ``iceberg``, of ``apache-airflow-providers-apache-iceberg``: the host is
    the catalog's URI, login and password are the credential of a REST catalog, the extra field holds everything else
    that pyiceberg takes. A connection of another type with the same fields works, too.

    :param url: the destination.
    :param conn_id: the connection. None: the embedded catalog.
    :param table: the table's name in the catalog. Default ``clever.attendance``.
    :raises CleverSettingsError: there is no such connection; or none is given, and the destination is no local path.
    """
    table = table or DEFAULT_TABLE
    if conn_id in (None, EMBEDDED):
        return embedded_catalog(url, table)
    from airflow_provider_clever.compat import AirflowNotFoundException, get_connection

    try:
        connection = get_connection(str(conn_id))
    except AirflowNotFoundException:
        raise CleverSettingsError(
            f"There is no Airflow connection {conn_id} that this task can read, so the Iceberg catalog is not known. "
            "Make it, or correct the name"
        ) from None
    try:
        extra = connection.extra_dejson
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise CleverSettingsError(f"The extra field of Airflow connection {conn_id} is no JSON object. Correct it")
    properties = {str(key): _text(value) for key, value in extra.items() if value is not None}
    if connection.host:
        properties["uri"] = connection.host.rstrip("/")
    properties.setdefault("type", "rest")
    if properties["type"] == "rest" and connection.password:
        credential = (connection.login, connection.password)
        properties["credential"] = ":".join(filter(None, credential))
        # What pyiceberg would guess, with a warning that it will not do so for ever.
        properties.setdefault("oauth2-server-uri", f"{properties.get('uri', '')}/v1/oauth/tokens")
    return CatalogSettings(name=str(conn_id), properties=properties, table=table)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
