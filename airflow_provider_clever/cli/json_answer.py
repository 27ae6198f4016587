"""How the answers of commands look to a program: with ``--json``."""

import json
from typing import Any


def print_json(document: Any) -> None:
    """Print a document. What is not known, or has nothing to say, is null in it, never an empty text."""
    print(json.dumps(_without_empty_texts(document), indent=2))


def _without_empty_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty_texts(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_empty_texts(one) for one in value]
    return None if value == "" else value
