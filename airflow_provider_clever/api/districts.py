"""Lists as plans: all items of a short list, and the one district that a token belongs to."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_clever.api.bodies import page_object, read_json
from airflow_provider_clever.api.endpoints import districts_request
from airflow_provider_clever.api.exchange import Credentials, RetryPolicy, exchange
from airflow_provider_clever.api.messages import Plan, Request
from airflow_provider_clever.api.paging import Judgement, Walk
from airflow_provider_clever.exceptions import CleverProtocolError, CleverSettingsError
from airflow_provider_clever.models import District

Model = TypeVar("Model", bound=BaseModel)


class Items(list[Any]):
    """Items of a list. Its ``repr`` shows their number only, for tools that keep the variables of a failure."""

    def __repr__(self) -> str:
        return f"Items({len(self)})"


def items_in(body: bytes) -> list[Any]:
    """Give the items of a page, out of their wrapping if they have one (clever-api.md 2.1).

    :raises CleverProtocolError: it is no page.
    """
    items = page_object(read_json(body)[0]).get("data") or []
    return Items(
        item["data"] if isinstance(item, dict) and isinstance(item.get("data"), dict) else item for item in items
    )


def items(first: Request, credentials: Credentials, policy: RetryPolicy) -> Plan[list[Any]]:
    """Get all items of a list that is short enough to keep."""
    walk, found = Walk(first), Items()
    request: Request | None = first
    while request is not None:
        response = yield from exchange(request, credentials, policy, walk.judge)
        found += items_in(response.body)
        request = walk.advance(response.body)
    return found


def read_models(model: type[Model], found: Iterable[object], what: str) -> list[Model]:
    """Read items as models.

    :raises CleverProtocolError: one of them is none. The message names the field and quotes nothing.
    """
    try:
        return [model.model_validate(item) for item in found]
    except ValidationError as error:
        fields = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]})
    # Raised out here, so that the library's error, whose frames hold the item, does not hang on to it.
    raise CleverProtocolError(
        f"Clever sent a {what} that cannot be read (in: {', '.join(fields) or 'all of it'}). Report it."
    )


def find_district(
    api_base: str, credentials: Credentials, policy: RetryPolicy, asked_id: Callable[[], str | None] = lambda: None
) -> Plan[District]:
    """Get the district that the token belongs to. If it is another one than was asked for, Clever is asked again.

    :param api_base: the API's origin.
    :param credentials: whose token.
    :param policy: how patiently.
    :param asked_id: gives the district that is meant, once the token is known; None: whichever. Default: whichever.
    :raises CleverSettingsError: it is another one.
    """
    request = districts_request(api_base)
    walk = Walk(request)

    def judge(body: bytes) -> Judgement:
        _only_district(body)
        return walk.judge(body)

    district = _only_district((yield from exchange(request, credentials, policy, judge)).body)
    if asked_id() not in {None, district.id}:
        again = replace(request, on_new_connection=True)
        district = _only_district((yield from exchange(again, credentials, policy, judge)).body)
    return check_district(district, asked_id())


def _only_district(body: bytes) -> District:
    districts = read_models(District, items_in(body), "district")
    if len(districts) != 1:
        raise CleverProtocolError(
            f"Clever named {len(districts)} districts for one token, which belongs to one. Check in Clever's dashboard"
            " that the district is connected; report it if it is."
        )
    return districts[0]


def check_district(district: District, asked_id: str | None) -> District:
    """Give the district back if it is the one that was asked for.

    :param district: the district that the token belongs to.
    :param asked_id: the district that is meant. None: whichever.
    :raises CleverSettingsError: it is another one.
    """
    if asked_id is not None and district.id != asked_id:
        raise CleverSettingsError(
            f"The token belongs to district {district.id}, but district {asked_id} was asked for. Put the right token"
            " into the connection's password, or correct district_id; nothing was pulled."
        )
    return district
