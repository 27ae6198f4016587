"""Prints the answers of commands as JSON, for ``--json``."""

import json
from typing import Any


def print_json(document: Any) -> None:
    """Print a document. A value that is unknown or empty is null, never an empty text."""
    print(json.dumps(_without_empty_texts(document), indent=2))


def _without_empty_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty_texts(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_empty_texts(one) for one in value]
    return None if value == "" else value
