"""Makes the links on a task's page: to the district's coverage, to the destination in its console, to the receipt.

Airflow asks for them in the worker when a task ends, and keeps the answers in XCom; an empty one shows no button. So
they may depend on what the task has found, and the plugin need not register them (decision 0041). No link contains a
connection's id, and none leads to a page that does not show the district.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

from airflow.sdk import BaseOperatorLink

from airflow_provider_clever.compat import conf
from airflow_provider_clever.plugins.addresses import origin, page_path, place_of, receipt_part
from airflow_provider_clever.storage.consoles import console_link
from airflow_provider_clever.storage.destination_url import path_as_url

log = logging.getLogger(__name__)

PAGE_TAG: Final = "clever"
"""The page reads DAGs with this tag; those of the factory have it."""
PAGE_OPERATORS: Final = frozenset({"CleverAttendanceOperator", "CleverAttendanceCoverageOperator"})
"""The operators whose tasks name the districts that the page shows."""


_ABOUT_A_DISTRICT: Final = PAGE_OPERATORS | {"CleverAttendanceAlertOperator"}
"""The same, and the operator of the DAG of alerts, which the page does not read."""


class _TaskLink(BaseOperatorLink):
    """A link that is empty, and never an error, if there is nothing to link to."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Give the address.

        :param operator: in the worker, after it was executed.
        :param ti_key: of the task instance.
        """
        try:
            return self._address(operator)
        except Exception as error:  # noqa: BLE001 - Airflow 3.1.0 fails a task whose link raises
            log.warning("The link %r could not be made (%s).", self.name, type(error).__name__)
            return ""

    def _address(self, operator: Any) -> str:
        raise NotImplementedError


class CleverCoverageLink(_TaskLink):
    """Links to the district on the page *Attendance*; a task about several districts links to all of them."""

    name = "Attendance coverage"

    def _address(self, operator: Any) -> str:
        return _district_address(operator) if _district_id(operator) else f"{page_path()}/"


class CleverDestinationLink(_TaskLink):
    """Links to the destination in its store's console; a file system has none."""

    name = "Destination"

    def _address(self, operator: Any) -> str:
        return _in_console(operator, "", is_object=False)


class CleverReceiptLink(_TaskLink):
    """Links to the receipt that the task has left: on the page *Attendance*, else in its store's console."""

    name = "Receipt"

    def _address(self, operator: Any) -> str:
        if not (path := operator.found_receipt):
            return ""
        district, part = _district_address(operator), receipt_part(path)
        return f"{district}/{part}" if district and part else _in_console(operator, path, is_object=True)


def coverage_url(operator: Any) -> str:
    """Give the full address of the district's page, for messages; empty: the page or Airflow's address is not known.

    :param operator: in the worker.
    """
    here = origin()
    path = CleverCoverageLink().get_link(operator, ti_key=None) if here else ""
    return f"{here}{path}" if path else ""


COVERAGE_LINKS: Final = (CleverCoverageLink(),)
LEDGER_LINKS: Final = (*COVERAGE_LINKS, CleverDestinationLink())
LANDING_LINKS: Final = (*LEDGER_LINKS, CleverReceiptLink())


def _district_address(operator: Any) -> str:
    """Give the district's address on the page; empty if the page does not show it."""
    district_id = _district_id(operator)
    place = next(_places(operator, district_id), "") if district_id else ""
    return f"{page_path()}/{place}/{district_id}" if place else ""


def _district_id(operator: Any) -> str | None:
    found = operator.found_district.id if operator.found_district else operator.district_id
    return None if found in (None, "", "None") else str(found)  # which templates render if a value is missing


def _places(operator: Any, district_id: str) -> Iterator[str]:
    """Give the destinations under which the page shows a district, as this DAG or the configuration names them."""
    wanted = operator.destination
    dag = operator.dag
    for task in dag.tasks if PAGE_TAG in dag.tags else ():
        if task.task_type in _ABOUT_A_DISTRICT:
            given_id, given = _as_written(operator if task.task_id == operator.task_id else task, task)
            if given_id == district_id and given and wanted in (None, given):
                yield place_of(given)
    for given in conf.get("clever", "destinations", fallback="").split():
        if wanted and path_as_url(given) == path_as_url(wanted):
            yield place_of(given)


def _as_written(operator: Any, task: Any) -> tuple[Any, Any]:
    """Give a task's district and destination as the DAG file has them: the page does not know rendered values."""
    if partial := getattr(task, "partial_kwargs", None):
        return partial.get("district_id"), partial.get("destination")
    return getattr(operator, "as_written", None) or (task.district_id, task.destination)


def _in_console(operator: Any, path: str, *, is_object: bool) -> str:
    if (place := operator.found_place) is None:
        return ""
    accounts = conf.get("clever", "azure_storage_accounts", fallback="").split()
    return console_link(place.url, place.objects.fs, path, is_object=is_object, azure_accounts=accounts)
