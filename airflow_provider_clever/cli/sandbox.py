"""``clever-attendance sandbox``: a stand-in for Clever on this machine."""

import importlib.util
import os
import sys

from airflow_provider_clever.exceptions import CleverSettingsError


def become_the_sandbox(arguments: list[str]) -> None:
    """Replace this process by the sandbox; does not return.

    :param arguments: what follows ``sandbox``.
    :raises CleverSettingsError: the sandbox is not installed.
    """
    if importlib.util.find_spec("airflow_provider_clever.sandbox") is None:
        raise CleverSettingsError("The sandbox is not installed. Run: pip install 'airflow-provider-clever[sandbox]'")
    # Nothing of ours imports the sandbox: it has to be able to contradict us.
    os.execv(sys.executable, [sys.executable, "-m", "airflow_provider_clever.sandbox", *arguments])  # noqa: S606 - our own interpreter, no shell
