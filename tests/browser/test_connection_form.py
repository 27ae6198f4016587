"""A person adds a Clever connection in Airflow's UI and presses Test."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from airflow_provider_clever.sandbox.testing import Sandbox, running_sandbox
from tests.browser.chromium import ANSWER_MS, click, documented, kept
from tests.support.airflow import AirflowHome, AirflowStack


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(districts="small") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    home = AirflowHome.create(tmp_path_factory.mktemp("airflow"))
    may_test = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
    with AirflowStack(home, components=("api-server",), env=may_test) as running:
        yield running


@pytest.fixture
def connections(browser: Browser, airflow: AirflowStack, tmp_path: Path) -> Iterator[Page]:
    """The page that lists connections, logged in; kept as a picture when CLEVER_SCREENSHOTS names a folder."""
    page = browser.new_page(viewport={"width": 1400, "height": 1300}, locale="en-US")
    page.set_default_timeout(ANSWER_MS)
    page.goto(f"{airflow.url}/connections")
    yield page
    page.close()


def add_connection(page: Page, conn_id: str, fields: Mapping[str, Mapping[str, str]]) -> None:
    """Fill in the form and save it, section by section; each field is found by the label beside it."""
    form = page.get_by_role("dialog")
    click(page.get_by_role("button", name="Add Connection"), brings=form.get_by_label("Connection ID"))
    form.get_by_label("Connection ID").fill(conn_id)
    form.get_by_role("combobox").fill("Clever")
    form.get_by_role("option", name="Clever", exact=True).click()
    for section, its_fields in fields.items():
        unfold(form.get_by_role("button", name=section, exact=True))
        for label, value in its_fields.items():
            # Airflow ties the labels of extra fields to no input; the group around both is what a person sees.
            group = form.get_by_role("group").filter(has=page.get_by_text(label, exact=True))
            group.locator("input").fill(value)
        kept(page, f"{conn_id} {section}")
        if section == "Standard Fields" and conn_id.startswith("clever_right"):
            documented(form, "connection-form")
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden(timeout=ANSWER_MS)


def unfold(heading: Locator) -> None:
    """Open a section of the form, which closes the others; the first one opens by itself when the type is chosen."""
    with suppress(AssertionError):
        expect(heading).to_have_attribute("aria-expanded", "true", timeout=1_000)
        return
    heading.click()
    expect(heading).to_have_attribute("aria-expanded", "true", timeout=ANSWER_MS)


def what_test_says(page: Page, conn_id: str) -> str:
    """Press the Test button of a listed connection, and give the message that comes up."""
    message = page.get_by_role("region").get_by_role("status").filter(has_text="Test")
    button = page.get_by_role("row").filter(has_text=conn_id).get_by_role("button", name="Test Connection")
    click(button, brings=message)
    kept(page, f"{conn_id} tested")
    return message.inner_text()


def fields_for(sandbox: Sandbox, secret: str, port: str) -> dict[str, dict[str, str]]:
    return {
        "Standard Fields": {
            "API origin": sandbox.url,
            "API port": port,
            "Client ID": sandbox.client_id,
            "Client secret or district token": secret,
        },
        "Extra Fields": {"District ID": sandbox.district("small").id, "Token origin": sandbox.url},
    }


@pytest.mark.parametrize("port", ["the sandbox's", "443", "0"])
def test_a_connection_made_in_the_form_passes_its_test(connections: Page, sandbox: Sandbox, port: str) -> None:
    conn_id = f"clever_right_{port[0]}"
    number = port if port.isdigit() else sandbox.url.rpartition(":")[2]
    add_connection(connections, conn_id, fields_for(sandbox, sandbox.client_secret, number))
    assert re.search(r"Connected to .+ Its attendance was last synced at", what_test_says(connections, conn_id))


def test_a_wrong_secret_is_told_in_words(connections: Page, sandbox: Sandbox) -> None:
    secret = "not-the-secret-of-this-app"
    add_connection(connections, "clever_wrong", fields_for(sandbox, secret, "443"))
    said = what_test_says(connections, "clever_wrong")
    assert "Clever refuses the client id and secret" in said
    assert secret not in said


def test_a_budget_share_in_percent_is_not_made_the_whole_budget_but_told_in_words(
    connections: Page, sandbox: Sandbox
) -> None:
    fields = fields_for(sandbox, sandbox.client_secret, sandbox.url.rpartition(":")[2])
    fields["Extra Fields"]["Budget share"] = "80"
    add_connection(connections, "clever_percent", fields)
    assert "write 80 percent as 0.8" in what_test_says(connections, "clever_percent")
