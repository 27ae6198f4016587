"""Short lists from Clever: their items, and the one district that a token belongs to."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.endpoints import districts_request
from airflow_provider_clever.api.exchange import Credentials, RetryPolicy, exchange
from airflow_provider_clever.api.messages import Plan, Request
from airflow_provider_clever.api.paging import PageCheck, Walk
from airflow_provider_clever.exceptions import CleverProtocolError, CleverSettingsError
from airflow_provider_clever.models import District

Model = TypeVar("Model", bound=BaseModel)


class Items(list[Any]):
    """Items of a list. Its ``repr`` shows only their number, because error trackers record local variables."""

    def __repr__(self) -> str:
        return f"Items({len(self)})"


def items_in(body: bytes) -> list[Any]:
    """Give the items of a page, unwrapped if each is wrapped in ``data`` (clever-api.md 2.1).

    :raises CleverProtocolError: it is not a page.
    """
    items = page_object(read_json(body)[0]).get("data") or []
    return Items(
        item["data"] if isinstance(item, dict) and isinstance(item.get("data"), dict) else item for item in items
    )


def items(first: Request, credentials: Credentials, policy: RetryPolicy) -> Plan[list[Any]]:
    """Get all items of a list, over all its pages. They must fit in memory."""
    walk, found = Walk(first), Items()
    request: Request | None = first
    while request is not None:
        response = yield from exchange(request, credentials, policy, walk.check)
        found += items_in(response.body)
        request = walk.advance()
    return found


def read_models(model: type[Model], found: Iterable[object], what: str) -> list[Model]:
    """Validate items as models.

    :raises CleverProtocolError: an item is not valid. The message names the fields and quotes no value.
    """
    try:
        return [model.model_validate(item) for item in found]
    except ValidationError as error:
        fields = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]})
    # Raised outside the except block: the library's error holds the item, and must not become the cause of ours.
    raise CleverProtocolError(
        f"Clever sent a {what} that cannot be read (in: {', '.join(fields) or 'all of it'}). Report it."
    )


def find_district(api_base: str, credentials: Credentials, policy: RetryPolicy) -> Plan[District]:
    """Get the district that the token belongs to. If it is not the one that was asked for, ask Clever once more.

    :param api_base: the API's origin.
    :param credentials: the token, and the district that it should belong to.
    :param policy: how often and how long to try.
    :raises CleverSettingsError: the token belongs to another district.
    """
    request = districts_request(api_base)
    walk = Walk(request)

    def check_page(body: bytes) -> PageCheck:
        _only_district(body)
        return walk.check(body)

    district = _only_district((yield from exchange(request, credentials, policy, check_page)).body)
    asked_id = credentials.district_id  # read here: looking up the token may have found it
    if asked_id not in {None, district.id}:
        again = replace(request, on_new_connection=True)
        district = _only_district((yield from exchange(again, credentials, policy, check_page)).body)
    if asked_id not in {None, district.id}:
        raise CleverSettingsError(
            f"The token belongs to district {district.id}, but district {asked_id} was asked for. Put the right token"
            " into the connection's password, or correct district_id; nothing was pulled."
        )
    return district


def _only_district(body: bytes) -> District:
    districts = read_models(District, items_in(body), "district")
    if len(districts) != 1:
        raise CleverProtocolError(
            f"Clever named {len(districts)} districts for one token, which belongs to one. Check in Clever's dashboard"
            " that the district is connected; report it if it is."
        )
    return districts[0]
