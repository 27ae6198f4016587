"""Opens the catalog of a table, and explains why it cannot be opened."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_clever.exceptions import CleverError, CleverLandingError, CleverSettingsError
from airflow_provider_clever.storage.destination_url import DestinationUrl

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

DEFAULT_TABLE: Final = "clever.attendance"
EMBEDDED: Final = "embedded"
"""The name of the catalog that needs no service: SQLite beside a local warehouse."""
WAREHOUSE: Final = "iceberg"
"""The embedded warehouse, relative to the destination."""

_TABLE_NAME: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+", re.ASCII)
_LOCK_SECONDS: Final = 60
"""How long a commit waits for another process to release the embedded catalog."""
_PACKAGES: Final = {
    "glue": "glue",
    "dynamodb": "dynamodb",
    "hive": "hive",
    "bigquery": "bigquery",
    "sql": "sql-postgres",
}
"""pyiceberg's extra for each type of catalog for which it is not named like the type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSettings:
    """Which catalog has the table, and how to reach it.

    :param name: the name of the catalog: the id of an Airflow connection, or :data:`EMBEDDED`.
    :param properties: as pyiceberg takes them; they may hold secrets, so they are never shown.
    :param table: the table's name there, with its namespace. Default ``clever.attendance``.
    :param warehouse: the folder of the embedded catalog, an absolute path; None: the catalog is not embedded.
    """

    name: str
    properties: Mapping[str, str] = field(repr=False)
    table: str = DEFAULT_TABLE
    warehouse: str | None = None

    def __post_init__(self) -> None:
        if not _TABLE_NAME.fullmatch(self.table):
            raise CleverSettingsError(
                f"The Iceberg table is called {self.table!r}; write its namespace and its name, such as "
                f"{DEFAULT_TABLE}, of 0-9, A-Z, a-z, _ and -"
            )

    @property
    def location(self) -> str | None:
        """The URL of the folder for this table's files alone; None: the catalog decides."""
        return self.warehouse and f"file://{self.warehouse}/{self.table}"

    def beside(self, name: str) -> "CatalogSettings":
        """Give the settings of another table in the same catalog and namespace."""
        return replace(self, table=f"{self.table.rpartition('.')[0]}.{name}")

    def __str__(self) -> str:
        where = f"the embedded catalog in {self.warehouse}" if self.warehouse else f"catalog {self.name}"
        return f"Iceberg table {self.table} of {where}"


def embedded_catalog(url: DestinationUrl, table: str = DEFAULT_TABLE) -> CatalogSettings:
    """Give the catalog that needs no service: SQLite and a warehouse in a folder of the destination.

    :param url: the destination; a path on this machine.
    :param table: the table's name.
    :raises CleverSettingsError: the destination is no path on this machine.
    """
    if url.scheme != "file":
        raise CleverSettingsError(
            f"destination {url}: the embedded Iceberg catalog is a SQLite file, which only works beside a warehouse on "
            "this machine's own disk. Name the Airflow connection of a catalog (REST, Glue, SQL, Hive, BigQuery), or "
            'choose table="parquet", which needs none.'
        )
    warehouse = f"{url.root}/{WAREHOUSE}"
    properties = {
        "type": "sql",
        "uri": f"sqlite:///{warehouse}/catalog.db?timeout={_LOCK_SECONDS}",
        "warehouse": f"file://{warehouse}",
    }
    return CatalogSettings(name=EMBEDDED, properties=properties, table=table, warehouse=warehouse)


def embedded_tables(district_id: str, paths: Iterable[str]) -> list[str]:
    """Give the tables in the embedded warehouse that have files of a district.

    :param paths: what lies in the warehouse, relative to the destination.
    """
    file = re.compile(rf"{WAREHOUSE}/([^/]+)/data/(?:.*/)?{re.escape(district_id)}-\d{{4}}-\d{{2}}-[^/]*")
    return sorted({found[1] for path in paths if (found := file.fullmatch(path))})


def require_libraries() -> None:
    """Make sure that Iceberg tables can be written here.

    :raises CleverSettingsError: pyiceberg is missing; the message says how to install it.
    """
    try:
        import pyarrow.parquet  # noqa: F401 - as below
        import pyiceberg.catalog  # noqa: F401 - only whether they are there
    except ImportError:
        raise CleverSettingsError(
            "An Iceberg table needs pyiceberg, which is not installed. Run: "
            "pip install 'airflow-provider-clever[iceberg]'"
        ) from None


def open_catalog(settings: CatalogSettings) -> "Catalog":
    """Open the catalog, and read no table yet.

    :raises CleverSettingsError: its fields cannot be used, it refuses the credentials, or a library is missing.
    :raises CleverLandingError: it cannot be reached.
    """
    require_libraries()
    from pyiceberg.catalog import load_catalog

    with explained(settings):
        if settings.warehouse:
            Path(settings.warehouse).mkdir(parents=True, exist_ok=True)
        try:
            return load_catalog(settings.name, **settings.properties)
        except ValueError as error:  # among others: no such type of catalog, or no uri
            raise CleverSettingsError(
                f"{settings} cannot be opened: pyiceberg takes the connection's fields for no catalog that it knows "
                f"({type(error).__name__}). Write its type (rest, glue, sql, hive, bigquery) and what that type needs "
                "into the extra field"
            ) from None


@contextmanager
def explained(settings: CatalogSettings) -> Iterator[None]:
    """Turn errors of pyiceberg and the libraries below it into errors of ours, without their messages.

    Their messages contain addresses, statements and sometimes credentials; the name of the error says enough.
    """
    try:
        yield
    except CleverError:
        raise
    except Exception as error:  # noqa: BLE001 - each catalog's library raises its own kinds
        raise _explanation(settings, error) from None


_REFUSED: Final = frozenset(
    {"UnauthorizedError", "ForbiddenError", "AuthorizationExpiredError", "OAuthError", "ClientAuthenticationError"}
)
_WRONG: Final = frozenset(
    {
        "ArgumentError",
        "MissingSchema",
        "NoRegionError",
        "NoSuchModuleError",
        "NoSuchPropertyException",
        "ProfileNotFound",
    }
)


def _explanation(settings: CatalogSettings, error: Exception) -> CleverError:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    name = type(error).__name__
    if kinds & {"NotInstalledError", "ImportError"}:
        kind = str(settings.properties.get("type"))
        extra = _PACKAGES.get(kind, kind)
        return CleverSettingsError(
            f"{settings} needs a library that is not installed. Run: pip install 'pyiceberg[{extra}]'"
        )
    if kinds & _REFUSED:
        return CleverSettingsError(
            f"{settings}: the catalog refuses the credentials ({name}). Look at the connection's login, password and "
            "extra field, and at what they may do there"
        )
    if kinds & _WRONG:
        return CleverSettingsError(f"{settings}: the fields of its connection are of no use ({name}). Correct them")
    return CleverLandingError(
        f"{settings} cannot be reached, read or written ({name}). What stood there is intact. Look whether the catalog "
        "and the warehouse can be reached from here and may be written, then run again"
    )
