"""Gives the address of a destination in its vendor's console.

A store that imitates another one (MinIO, an emulator, another cloud with S3's interface) has no page in that one's
console, so the address depends on where the open file system sends its requests. The store itself is not asked.
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_provider_clever.storage.destination_url import DestinationUrl

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_S3_ENDPOINT: Final = re.compile(r"https://(?:[\w-]+\.)*amazonaws\.com(?:\.cn)?/?")
_S3_CONSOLES: Final = {
    "aws": "https://console.aws.amazon.com",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
    "aws-cn": "https://console.amazonaws.cn",
}
_GCS_ENDPOINT: Final = "https://storage.googleapis.com"
_GCS_CONSOLE: Final = "https://console.cloud.google.com/storage/browser"
_AZURE_PORTAL: Final = "https://portal.azure.com/#view/Microsoft_Azure_Storage"


def console_link(
    url: DestinationUrl, fs: "AbstractFileSystem", path: str, *, is_object: bool, azure_accounts: Sequence[str] = ()
) -> str:
    """Give the address of a folder or an object in the console of its store; empty: there is none.

    :param url: the destination.
    :param fs: the file system that was opened for it.
    :param path: relative to the destination; empty: the destination itself.
    :param is_object: whether it is an object, not a folder.
    :param azure_accounts: the resource IDs of Azure storage accounts, without which its portal shows none.
    """
    bucket, _, key = "/".join(filter(None, (url.root, path))).partition("/")
    link = _LINKS.get(url.kind.extra)
    return link(fs, bucket, key, is_object, azure_accounts) if link else ""


def azure_account(fs: "AbstractFileSystem") -> str | None:
    """Give the storage account that a file system of Azure reaches; None: it does not say."""
    return getattr(getattr(fs, "service_client", None), "account_name", None) or getattr(fs, "account_name", None)


def _s3_link(fs: Any, bucket: str, key: str, is_object: bool, _: Sequence[str]) -> str:  # noqa: FBT001 - a row of _LINKS
    meta = getattr(getattr(fs, "_s3", None), "meta", None)  # None until something was asked of the store
    console = _S3_CONSOLES.get(getattr(meta, "partition", ""))
    if console is None or not _S3_ENDPOINT.fullmatch(str(getattr(meta, "endpoint_url", ""))):
        return ""
    kind, prefix = ("object", key) if is_object else ("buckets", f"{key}/" if key else "")
    return f"{console}/s3/{kind}/{bucket}" + (f"?prefix={quote(prefix, safe='/')}" if prefix else "")


def _gcs_link(fs: Any, bucket: str, key: str, is_object: bool, _: Sequence[str]) -> str:  # noqa: FBT001 - a row of _LINKS
    endpoint = getattr(fs, "_endpoint", None) or os.environ.get("STORAGE_EMULATOR_HOST", "")
    if endpoint not in ("", "default", _GCS_ENDPOINT):
        return ""
    details = "/_details" if is_object else ""
    return "/".join(filter(None, (f"{_GCS_CONSOLE}{details}", bucket, quote(key, safe="/"))))


def _azure_link(fs: Any, bucket: str, key: str, is_object: bool, accounts: Sequence[str]) -> str:  # noqa: FBT001 - a row of _LINKS
    name = azure_account(fs)
    account = next((one for one in accounts if one.rstrip("/").rpartition("/")[2] == name), None)
    if account is None:
        return ""
    where = f"storageAccountId/{quote(account.rstrip('/'), safe='')}/path/"
    if is_object:
        return f"{_AZURE_PORTAL}/BlobPropertiesBladeV2/{where}{quote(f'{bucket}/{key}', safe='')}"
    return f"{_AZURE_PORTAL}/ContainerMenuBlade/~/overview/{where}{quote(bucket, safe='')}"


_LINKS: Final[dict[str | None, Callable[[Any, str, str, bool, Sequence[str]], str]]] = {
    "s3": _s3_link,
    "gcs": _gcs_link,
    "azure": _azure_link,
}
"""By the extra of the store's kind."""
