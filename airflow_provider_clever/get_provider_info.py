"""What Airflow reads about this provider without importing anything else of it."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Give the provider's metadata: its modules, and the connection type ``clever`` with its form."""
    return {
        # The canonical project name, with dashes. With underscores the whole of Airflow's command line dies.
        "package-name": "airflow-provider-clever",
        "name": "Clever",
        "description": "Student attendance from `Clever <https://clever.com/>`__, landed without losing a day.",
        "integrations": [
            {
                "integration-name": "Clever",
                "external-doc-url": "https://dev.clever.com/docs/attendance-data-overview",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Clever", "python-modules": ["airflow_provider_clever.hooks.clever"]}],
        "operators": [{"integration-name": "Clever", "python-modules": ["airflow_provider_clever.operators.clever"]}],
        "sensors": [{"integration-name": "Clever", "python-modules": ["airflow_provider_clever.sensors.clever"]}],
        "triggers": [{"integration-name": "Clever", "python-modules": ["airflow_provider_clever.triggers.clever"]}],
        "extra-links": [
            f"airflow_provider_clever.plugins.links.Clever{name}Link" for name in ("Coverage", "Destination", "Receipt")
        ],
        "config": {
            "clever": {
                "description": "The attendance of Clever's districts.",
                "options": {
                    "destinations": {
                        "description": "Destinations, one after another with spaces between them, whose districts the "
                        "page *Attendance* shows besides those of DAGs, such as `s3://aws_default@my-lake/clever`.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-lake/clever file:///data/clever",
                        "default": "",
                    },
                    "azure_storage_accounts": {
                        "description": "Resource IDs of Azure storage accounts, one after another with spaces between "
                        "them. A task that landed in one of them then links to the container in the Azure portal, "
                        "which opens nothing by an account's name.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/data/providers/"
                        "Microsoft.Storage/storageAccounts/mylake",
                        "default": "",
                    },
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "clever",
                "hook-class-name": "airflow_provider_clever.hooks.clever.CleverHook",
                "hook-name": "Clever",
                "ui-field-behaviour": _STANDARD_FIELDS,
                "conn-fields": _EXTRA_FIELDS,
            }
        ],
    }


_STANDARD_FIELDS: dict[str, Any] = {
    # An origin carries scheme and port, so one field could show all; stored schemas still count. The port is shown
    # because Airflow up to 3.3.2 tests only a connection that has one: its UI sends 0 for an empty port, and its API
    # takes that for another server (https://github.com/apache/airflow/pull/73298).
    "hidden-fields": ["schema", "extra"],
    "relabeling": {
        "host": "API origin",
        "port": "API port",
        "login": "Client ID",
        "password": "Client secret or district token",
    },
    "placeholders": {
        "host": "https://api.clever.com",
        "port": "443 (for the Test button of Airflow 3.3; else it may stay empty)",
        "login": "empty: the password is one district's token",
        "password": "with a client ID its secret, else one district's bearer token",
    },
}

_EXTRA_FIELDS: dict[str, Any] = {
    "district_id": {
        "label": "District ID",
        "description": "The district when a task names none. May stay empty if exactly one district is connected.",
        "schema": {"type": ["string", "null"], "pattern": "^[0-9A-Za-z_-]{1,64}$"},
    },
    # No default here: a form that fills it in would send a sandbox's credentials to the real clever.com.
    "auth_base": {
        "label": "Token origin",
        "description": "Serves /oauth/tokens. Empty: https://clever.com. For a sandbox the same as the API origin.",
        "schema": {"type": ["string", "null"], "format": "url"},
    },
    "budget_share": {
        "label": "Budget share",
        "description": "Part of the token's requests that attendance pulls may use: above 0, at most 1, so 0.8 for 80 "
        "percent. The rest is for everything else you run on this token, such as a roster sync.",
        # No maximum: the form would make 1, the whole budget, of an 80 and say nothing. The Test button refuses it.
        "schema": {"type": ["number", "null"], "minimum": 0, "default": 0.8},
    },
    "forget_secret": {
        "label": "Key of what is forgotten",
        "description": "Makes the hashes of students who are forgotten; at least 32 characters. "
        "Keep it as long as the lake.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
}
