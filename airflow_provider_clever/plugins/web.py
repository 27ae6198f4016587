"""The routes of the coverage page. Each asks Airflow's auth manager first; none reads a row of attendance."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, cast
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from airflow_provider_clever.dates import date_from_text
from airflow_provider_clever.exceptions import CleverError
from airflow_provider_clever.lake.answers import Word
from airflow_provider_clever.lake.giving_answers import give_answer
from airflow_provider_clever.lake.idempotency_key import TaskInstanceName
from airflow_provider_clever.plugins.addresses import origin, place_of
from airflow_provider_clever.plugins.discovery import districts_of_configuration, districts_of_dags, open_objects, shown
from airflow_provider_clever.plugins.same_origin import is_same_origin
from airflow_provider_clever.plugins.waiting import within
from airflow_provider_clever.syncs import moment_text
from airflow_provider_clever.ui.render import Page
from airflow_provider_clever.ui.views import (
    NOTHING_TO_SHOW,
    District,
    DistrictRow,
    DistrictView,
    Glance,
    district_view,
)
from airflow_provider_clever.ui.visits import day_visits, receipt_at

_NOTICES: Final = {
    "deleted": "Noted: the rows are deleted. The next pull that misses them again marks them.",
    "kept": "Noted: the rows stand as they are until they return.",
}


@dataclass(frozen=True, slots=True)
class _Links:
    """The addresses of the page, below Airflow's own.

    :param page: the path that the page is served at, without a slash at its end.
    :param base: the path that Airflow is served at, without a slash at its end.
    :param may_answer: whether the user may answer about a district's withheld rows.
    """

    page: str
    base: str
    may_answer: Callable[[District], bool]

    def overview(self) -> str:
        return f"{self.page}/"

    def district(self, of: DistrictRow | DistrictView) -> str:
        return f"{self.overview()}{place_of(of.district.destination)}/{of.district.district_id}"

    def school(self, of: DistrictView, school_id: str) -> str:
        return f"{self.district(of)}/{school_id}"

    def day(self, of: DistrictView, school_id: str, day: date) -> str:
        return f"{self.school(of, school_id)}/{day}"

    def answer(self, of: DistrictView) -> str:
        return f"{self.district(of)}/answer" if self.may_answer(of.district) else ""

    def dag(self, dag_id: str) -> str:
        return f"{self.base}/dags/{quote(dag_id, safe='')}/runs"


def make_app(url_prefix: str) -> FastAPI:
    """Make the application.

    :param url_prefix: the path below Airflow's own that it is mounted at.
    """
    app = FastAPI(
        title="Clever attendance",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_view(AccessView.WEBSITE))],
    )
    app.add_api_route("/", _overview, response_class=HTMLResponse)
    app.add_api_route("/{place}/{district_id}", _district, response_class=HTMLResponse)
    app.add_api_route("/{place}/{district_id}/answer", _answer, methods=["POST"], response_class=RedirectResponse)
    app.add_api_route("/{place}/{district_id}/receipts/{month}/{name}", _receipt, response_class=HTMLResponse)
    app.add_api_route("/{place}/{district_id}/{school_id}", _school, response_class=HTMLResponse)
    app.add_api_route("/{place}/{district_id}/{school_id}/{day}", _day, response_class=HTMLResponse)
    app.state.url_prefix = url_prefix
    app.add_exception_handler(CleverError, _could_not_read)
    return app


def _overview(request: Request, session: SessionDep, user: GetUserDep, q: str = "") -> Response:
    districts, problems = _districts(session, user)
    wanted = q.strip().casefold()
    chosen = [one for one in districts if wanted in f"{one.title} {one.subtitle}".casefold()]
    glance = Glance(chosen, open_objects, datetime.now(UTC))
    rows = within(glance.read, "the overview", otherwise=glance.so_far)
    return _html(request, user, lambda page: page.overview(rows, problems=problems, query=q))


def _district(request: Request, session: SessionDep, user: GetUserDep, place: str, district_id: str) -> Response:
    view = _view(session, user, place, district_id)
    notice = _NOTICES.get(request.query_params.get("said", ""), "")
    return _html(request, user, lambda page: page.district(view, notice=notice))


def _school(
    request: Request, session: SessionDep, user: GetUserDep, place: str, district_id: str, school_id: str
) -> Response:
    view = _view(session, user, place, district_id)
    calendar = view.calendar(school_id)
    if calendar is None:
        raise HTTPException(404, "The district shares no such school.")
    return _html(request, user, lambda page: page.school(view, calendar))


def _day(
    request: Request, session: SessionDep, user: GetUserDep, place: str, district_id: str, school_id: str, day: str
) -> Response:
    view = _view(session, user, place, district_id)
    calendar = view.calendar(school_id)
    try:
        wanted = date_from_text(day)
    except ValueError:
        raise HTTPException(404, "There is no such day.") from None
    if calendar is None:
        raise HTTPException(404, "The district shares no such school.")
    visits = within(
        lambda: day_visits(open_objects(view.destination), district_id, school_id, wanted), view.destination
    )
    links = [_run_link(_base(request), visit.receipt.idempotency_key.task) for visit in visits.found]
    return _html(request, user, lambda page: page.day(view, calendar, wanted, visits, links))


def _receipt(
    request: Request, session: SessionDep, user: GetUserDep, place: str, district_id: str, month: str, name: str
) -> Response:
    view = _view(session, user, place, district_id)
    receipt = within(lambda: receipt_at(open_objects(view.destination), district_id, month, name), view.destination)
    if receipt is None:
        raise HTTPException(404, "There is no such receipt, or it cannot be read.")
    link = _run_link(_base(request), receipt.idempotency_key.task)
    return _html(request, user, lambda page: page.receipt(view, receipt, link))


def _answer(
    request: Request,
    session: SessionDep,
    user: GetUserDep,
    place: str,
    district_id: str,
    school_id: Annotated[str, Form()],
    word: Annotated[str, Form()],
) -> Response:
    _check_that_it_was_sent_from_here(request)
    district = _find(session, user, place, district_id)
    if not _may_answer(user, district):
        raise HTTPException(403, "Answering takes the right to trigger a DAG that pulls this district.")
    if word not in _NOTICES:
        raise HTTPException(422, "An answer is deleted or kept.")
    by, at = user.get_name(), moment_text(datetime.now(UTC))
    within(
        lambda: give_answer(
            open_objects(district.destination), district_id, [school_id], cast("Word", word), by=by, at=at
        ),
        district.destination,
    )
    return RedirectResponse(f"{_page_path(request)}/{place}/{district_id}?said={word}", status_code=303)


def _check_that_it_was_sent_from_here(request: Request) -> None:
    """Refuse a form that another site has sent."""
    if not is_same_origin(request.headers, origin()):
        raise HTTPException(
            403,
            "This form was not sent from Airflow's own pages. If a proxy stands before Airflow, set [api] base_url to "
            "the address that people use.",
        )


def _could_not_read(request: Request, error: Exception) -> Response:
    return HTMLResponse(
        Page(_Links(_page_path(request), _base(request), lambda _: False), datetime.now(UTC)).overview(
            [], problems=[str(error)], searchable=False
        ),
        status_code=404 if isinstance(error, NOTHING_TO_SHOW) else 502,
    )


# --- who may see what -------------------------------------------------------------------------------------------------


def _districts(session: Any, user: Any) -> tuple[list[District], list[str]]:
    readable = get_auth_manager().get_authorized_dag_ids(user=user, session=session)
    of_dags, pulled = districts_of_dags(session, readable)
    configured, problems = districts_of_configuration()
    return shown(of_dags, pulled, configured), problems


def _find(session: Any, user: Any, place: str, district_id: str) -> District:
    for one in _districts(session, user)[0]:
        if one.district_id == district_id and place_of(one.destination) == place:
            return one
    raise HTTPException(404, "There is no such district, or you may not see its DAGs.")


def _view(session: Any, user: Any, place: str, district_id: str) -> DistrictView:
    district = _find(session, user, place, district_id)
    return within(
        lambda: district_view(open_objects(district.destination), district, datetime.now(UTC)), district.destination
    )


def _may_answer(user: Any, district: District) -> bool:
    """Whether the user may trigger a DAG that pulls this district: a run accepts the same answer as a param."""
    return any(
        get_auth_manager().is_authorized_dag(
            method="POST", user=user, access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id)
        )
        for dag_id in district.dags
    )


# --- answers to the browser -------------------------------------------------------------------------------------------


def _base(request: Request) -> str:
    return _page_path(request).removesuffix(request.app.state.url_prefix)


def _page_path(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _run_link(base: str, run: TaskInstanceName | None) -> str:
    if run is None:
        return ""
    parts = ["dags", run.dag_id, "runs", run.run_id, "tasks", run.task_id]
    if run.map_index >= 0:
        parts += ["mapped", str(run.map_index)]
    return base + "/" + "/".join(quote(part, safe="") for part in parts)


def _html(request: Request, user: Any, made: Callable[[Page], str]) -> Response:
    nonce = secrets.token_urlsafe(16)
    links = _Links(_page_path(request), _base(request), lambda district: _may_answer(user, district))
    page = Page(links, datetime.now(UTC), nonce=nonce, in_airflow=True)
    return HTMLResponse(
        made(page),
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        },
    )
