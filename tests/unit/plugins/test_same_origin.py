"""A form is taken from the pages of Airflow itself, whatever a proxy makes of the host, and from nowhere else."""

import pytest

from airflow_provider_clever.plugins.same_origin import is_same_origin

PUBLIC = "https://airflow.example.org"
BEHIND_PROXY = {"host": "10.0.0.7:8080"}


@pytest.mark.parametrize(
    ("headers", "public_origin"),
    [
        ({"origin": "http://localhost:8080", "host": "localhost:8080"}, ""),
        ({"origin": "https://airflow.example.org", "host": "airflow.example.org:443"}, ""),
        ({"origin": PUBLIC, **BEHIND_PROXY}, PUBLIC),
        ({"origin": PUBLIC, **BEHIND_PROXY}, f"{PUBLIC}:443"),
        ({"origin": PUBLIC, **BEHIND_PROXY, "x-forwarded-host": "airflow.example.org, inner"}, ""),
        ({"origin": PUBLIC, **BEHIND_PROXY, "sec-fetch-site": "same-origin"}, ""),
    ],
)
def test_a_form_of_a_page_of_ours_is_taken(headers: dict[str, str], public_origin: str) -> None:
    assert is_same_origin(headers, public_origin)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "airflow.example.org"},
        {"origin": "null", "host": "null"},
        {"origin": "https://elsewhere.example", "host": "airflow.example.org"},
        {"origin": "https://airflow.example.org.elsewhere.example", "host": "airflow.example.org"},
        {"origin": "https://airflow.example.org:8443", "host": "airflow.example.org"},
        {"origin": "http://airflow.example.org", **BEHIND_PROXY},
        {"origin": PUBLIC, **BEHIND_PROXY, "sec-fetch-site": "cross-site"},
        {"origin": PUBLIC, **BEHIND_PROXY, "sec-fetch-site": "same-site"},
        {"origin": "https://[", "host": "["},
        {"origin": "https://a:99999", "host": "a:99999"},
    ],
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    assert not is_same_origin(headers, PUBLIC)
