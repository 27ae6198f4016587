"""The connection's form for Airflow 3.1, which asks the hook. Since 3.2 Airflow reads the provider's metadata."""

from typing import Any

from airflow_provider_clever.get_provider_info import get_provider_info


def field_behaviour() -> dict[str, Any]:
    """Give what the metadata says of the standard fields, under the names that hooks use."""
    return {name.replace("-", "_"): said for name, said in _declared()["ui-field-behaviour"].items()}


def form_widgets() -> dict[str, Any]:
    """Give the metadata's extra fields as the text fields that 3.1 can show.

    :raises ImportError: no form library is installed. Airflow 3.1 then shows no provider's fields, and logs that.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import StringField
    from wtforms.validators import Optional

    return {
        name: StringField(
            said["label"],
            validators=[Optional()],
            description=said["description"],
            default=None if (default := said["schema"].get("default")) is None else str(default),
            widget=BS3TextFieldWidget(),
        )
        for name, said in _declared()["conn-fields"].items()
    }


def _declared() -> dict[str, Any]:
    (declared,) = get_provider_info()["connection-types"]
    return dict(declared)
