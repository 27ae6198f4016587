"""Where a destination is shown in the console of its store."""

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_clever.storage.consoles import console_link
from airflow_provider_clever.storage.destination_url import destination_url

ACCOUNT = "/subscriptions/5f/resourceGroups/data/providers/Microsoft.Storage/storageAccounts/mylake"
PORTAL = "https://portal.azure.com/#view/Microsoft_Azure_Storage"
RECEIPT = "_clever/district=65e0/receipts/2026-11/ab12.json.gz"


def s3(endpoint: str = "https://s3.us-west-2.amazonaws.com", partition: str = "aws") -> Any:
    return SimpleNamespace(_s3=SimpleNamespace(meta=SimpleNamespace(endpoint_url=endpoint, partition=partition)))


GCS = SimpleNamespace(_endpoint=None)
AZURE = SimpleNamespace(account_name="mylake")


def link(destination: str, fs: Any, path: str = "", *, is_object: bool = False) -> str:
    return console_link(destination_url(destination), fs, path, is_object=is_object, azure_accounts=["/other", ACCOUNT])


@pytest.mark.parametrize(
    ("destination", "fs", "expected"),
    [
        (
            "s3://secret_conn@lake/clever",
            s3(),
            "https://console.aws.amazon.com/s3/buckets/lake?prefix=clever/",
        ),
        ("s3://lake", s3(), "https://console.aws.amazon.com/s3/buckets/lake"),
        (
            "s3://lake/a b",
            s3("https://s3.us-gov-west-1.amazonaws.com", "aws-us-gov"),
            "https://console.amazonaws-us-gov.com/s3/buckets/lake?prefix=a%20b/",
        ),
        (
            "s3://lake/clever",
            s3("https://s3.cn-north-1.amazonaws.com.cn", "aws-cn"),
            "https://console.amazonaws.cn/s3/buckets/lake?prefix=clever/",
        ),
        ("gs://secret_conn@lake/clever", GCS, "https://console.cloud.google.com/storage/browser/lake/clever"),
        (
            "abfs://secret_conn@lake/clever",
            AZURE,
            f"{PORTAL}/ContainerMenuBlade/~/overview/storageAccountId/{ACCOUNT.replace('/', '%2F')}/path/lake",
        ),
    ],
)
def test_a_destination_is_shown_in_its_console(destination: str, fs: Any, expected: str) -> None:
    assert link(destination, fs) == expected
    assert "secret_conn" not in expected


@pytest.mark.parametrize(
    ("destination", "fs", "expected"),
    [
        ("s3://lake/clever", s3(), f"https://console.aws.amazon.com/s3/object/lake?prefix=clever/{RECEIPT}"),
        ("gs://lake", GCS, f"https://console.cloud.google.com/storage/browser/_details/lake/{RECEIPT}"),
        ("abfs://lake", AZURE, "/path/lake%2F_clever%2Fdistrict%3D65e0%2Freceipts%2F2026-11%2Fab12.json.gz"),
    ],
)
def test_an_object_has_an_address_of_its_own(destination: str, fs: Any, expected: str) -> None:
    assert link(destination, fs, RECEIPT, is_object=True).replace("%3D", "=").endswith(expected.replace("%3D", "="))


@pytest.mark.parametrize(
    ("destination", "fs"),
    [
        ("file:///data/clever", SimpleNamespace()),
        ("s3://lake", s3("http://127.0.0.1:9000")),
        ("s3://lake", s3("https://minio.example.com")),
        ("s3://lake", s3("https://s3.amazonaws.com.evil.example")),
        ("s3://lake", s3("https://x.r2.cloudflarestorage.com")),
        ("s3://lake", s3(partition="aws-iso")),
        ("s3://lake", SimpleNamespace(_s3=None)),
        ("gs://lake", SimpleNamespace(_endpoint="http://127.0.0.1:4443")),
        ("abfs://lake", SimpleNamespace(account_name="devstoreaccount1")),
        ("abfs://lake", SimpleNamespace()),
    ],
)
def test_a_place_that_no_console_shows_has_no_link(destination: str, fs: Any) -> None:
    assert link(destination, fs) == ""


def test_an_emulator_of_googles_store_has_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443")
    assert link("gs://lake", GCS) == ""
