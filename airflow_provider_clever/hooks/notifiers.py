"""Makes Airflow notifiers from what users write, and sends an alert through one."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from importlib import import_module
from typing import Any, Final

from airflow.sdk import BaseNotifier, Context

from airflow_provider_clever.alerts.decision import Alert
from airflow_provider_clever.exceptions import CleverSettingsError

_KEYS: Final = frozenset({"notifier", "kwargs"})
_HOW: Final = (
    "give a notifier object, a name from notifiers, or `notifier` (its import path) beside `kwargs` (its arguments)"
)


def notifiers_of(given: object, named: Mapping[str, object] | None = None) -> tuple[BaseNotifier, ...]:
    """Give the notifiers that a value describes.

    :param given: one or a list, each a notifier object, a name, an import path, or ``{"notifier": path, "kwargs":
        {...}}``; None: there are none.
    :param named: notifiers by the names that the list of districts gives them.
    :raises CleverSettingsError: something describes no notifier; the message says what, and quotes no argument.
    """
    if given is None:
        return ()
    several = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else [given]
    return tuple(_notifier(one, named or {}) for one in several)


def _notifier(given: object, named: Mapping[str, object]) -> BaseNotifier:
    if isinstance(given, BaseNotifier):
        return given
    if isinstance(given, str):
        if given in named and named[given] != given:
            return _notifier(named[given], {})
        if "." not in given:
            known = f"known are {', '.join(sorted(named))}" if named else "notifiers names none"
            raise CleverSettingsError(f"there is no notifier named {given[:60]!r}: {known}.")
        return _made(given, {})
    if isinstance(given, Mapping) and "notifier" in given and given.keys() <= _KEYS:
        path, kwargs = given["notifier"], given.get("kwargs") or {}
        if isinstance(path, str) and isinstance(kwargs, Mapping) and all(isinstance(name, str) for name in kwargs):
            return _made(path, kwargs)
    raise CleverSettingsError(f"{_kind(given)} is no notifier: {_HOW}.")


def _kind(given: object) -> str:
    if isinstance(given, Mapping):
        return f"a mapping with the keys {', '.join(sorted(map(str, given))) or 'none'}"
    return f"a class ({given.__name__})" if isinstance(given, type) else f"a {type(given).__name__}"


def _made(path: str, kwargs: Mapping[str, Any]) -> BaseNotifier:
    kind = _class(path)
    try:
        made = kind(**kwargs)
    except TypeError as error:  # Python's own words, which name arguments and show no values
        raise CleverSettingsError(f"{path} does not take these arguments: {error}.") from None
    except Exception as error:  # noqa: BLE001 - a constructor of other people's may raise anything, and quote a secret
        raise CleverSettingsError(f"{path} cannot be made ({type(error).__name__}): look at its kwargs.") from None
    return made


@cache
def _class(path: str) -> type[BaseNotifier]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - a module of other people's may raise anything
        raise CleverSettingsError(
            f"notifier {path} cannot be imported ({type(error).__name__}: {error}). Correct the path, or install the "
            "provider package that has it."
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise CleverSettingsError(f"{path} is no subclass of airflow.sdk.BaseNotifier.")
    return found


def names_of(notifiers: Sequence[BaseNotifier]) -> list[str]:
    """Name notifiers by class, so that it can be noted what each has sent; several of one class are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for one in notifiers:
        kind = type(one)
        # Airflow names the module of a DAG file after its path, which a bundle may change with each version.
        is_of_dag_file = kind.__module__.startswith("unusual_prefix_")
        name = kind.__qualname__ if is_of_dag_file else f"{kind.__module__}.{kind.__qualname__}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def notify(notifier: BaseNotifier, context: Context, alert: Alert) -> None:
    """Send one message. The notifier's templates find it as ``alert``.

    It is not called as callbacks are: that would log the text of its error, which may hold a webhook's address.

    :raises Exception: whatever the notifier raises.
    """
    own = copy(notifier)  # rendering replaces the templates for good
    filled: Any = {**context, "alert": alert}
    own._update_context(filled)
    own.render_template_fields(filled)
    if type(own).notify is BaseNotifier.notify:
        asyncio.run(own.async_notify(filled))
    else:
        own.notify(filled)
