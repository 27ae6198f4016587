"""The connection's form as Airflow 3.1 asks the hook for it. From 3.2 on the provider's metadata is read instead."""

from typing import Any

from airflow_provider_clever.get_provider_info import get_provider_info


def field_behaviour() -> dict[str, Any]:
    """Give what the metadata says of the standard fields, by the names that hooks use."""
    return {name.replace("-", "_"): said for name, said in _declared()["ui-field-behaviour"].items()}


def form_widgets() -> dict[str, Any]:
    """Give the metadata's extra fields as the text fields that 3.1 can show.

    :raises ImportError: there is no form library. Airflow 3.1 then shows no provider's fields, and says so in its log.
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
