"""Lists and removes what a store keeps of replaced or removed objects: older versions, and soft-deleted ones.

Local files and fsspec's in-process store keep nothing that could be listed. Paths are the file system's own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from airflow_provider_clever.storage.cloud_stores import run

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem


class OldVersion(NamedTuple):
    """A version of an object that a plain read does not give.

    :param path: the object's path.
    :param id: the store's id of the version.
    :param is_empty: whether it only marks that the object was removed, so that it has no content.
    """

    path: str
    id: str
    is_empty: bool = False


class Kept(NamedTuple):
    """Something that the store keeps, or may keep, and that cannot be removed from here.

    :param what: in words.
    :param next_step: what a person can do.
    """

    what: str
    next_step: str


class History(Protocol):
    """The history of objects in one kind of store."""

    delete_right: str
    """The right to remove older versions, as the store calls it."""

    def kept(self, root: str) -> list[Kept]:
        """List what the store keeps of removed objects, apart from older versions.

        :param root: the destination's path.
        """
        ...

    def old_versions(self, prefix: str) -> Iterator[OldVersion]:
        """List all older versions of objects whose path begins so, including removed objects."""
        ...

    def read(self, version: OldVersion) -> bytes:
        """Read a version."""
        ...

    def delete(self, version: OldVersion) -> None:
        """Remove a version for good."""
        ...


class NoHistory:
    """A store that keeps nothing that can be listed."""

    delete_right = ""

    def __init__(self, kept: tuple[Kept, ...] = ()) -> None:
        self._kept = list(kept)

    def kept(self, root: str) -> list[Kept]:  # noqa: ARG002 - the kind of store decides
        """Give what is known of this kind of store."""
        return self._kept

    def old_versions(self, prefix: str) -> Iterator[OldVersion]:  # noqa: ARG002 - there are none
        """Give none."""
        return iter(())

    def read(self, version: OldVersion) -> bytes:
        """Fail: there are no versions."""
        raise FileNotFoundError(version.path)

    def delete(self, version: OldVersion) -> None:
        """Fail: there are no versions."""


class _CloudHistory:
    def __init__(self, fs: "AsyncFileSystem") -> None:
        self._fs = fs

    def old_versions(self, prefix: str) -> Iterator[OldVersion]:
        """List versions, page by page."""
        yield from run(self._fs, self._listed, prefix)

    def read(self, version: OldVersion) -> bytes:
        """GET that very version."""
        data: bytes = run(self._fs, self._get, version)
        return data

    def delete(self, version: OldVersion) -> None:
        """DELETE that very version."""
        run(self._fs, self._delete, version)

    async def _listed(self, prefix: str) -> list[OldVersion]:
        raise NotImplementedError

    async def _get(self, version: OldVersion) -> bytes:
        raise NotImplementedError

    async def _delete(self, version: OldVersion) -> None:
        raise NotImplementedError


class S3History(_CloudHistory):
    """Versions and delete markers of a bucket."""

    delete_right = "s3:DeleteObjectVersion"

    def kept(self, root: str) -> list[Kept]:  # noqa: ARG002 - versions are listed, and a lock shows when one is removed
        """Give nothing: there are only versions."""
        return []

    async def _listed(self, prefix: str) -> list[OldVersion]:
        bucket, key, _ = self._fs.split_path(prefix)
        found: list[OldVersion] = []
        position: dict[str, str] = {}
        while True:
            page = await self._fs._call_s3("list_object_versions", Bucket=bucket, Prefix=key, **position)
            for kind, is_empty in (("Versions", False), ("DeleteMarkers", True)):
                found += [
                    OldVersion(f"{bucket}/{one['Key']}", one["VersionId"], is_empty)
                    for one in page.get(kind, ())
                    # A bucket that never kept versions lists each object as its one version, "null".
                    if is_empty or not one["IsLatest"]
                ]
            if not page.get("IsTruncated"):
                return found
            position = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    async def _get(self, version: OldVersion) -> bytes:
        bucket, key, _ = self._fs.split_path(version.path)
        answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key, VersionId=version.id)
        async with answer["Body"] as body:
            data: bytes = await body.read()
        return data

    async def _delete(self, version: OldVersion) -> None:
        bucket, key, _ = self._fs.split_path(version.path)
        await self._fs._call_s3("delete_object", Bucket=bucket, Key=key, VersionId=version.id)


class GcsHistory(_CloudHistory):
    """Noncurrent generations of a bucket, and its soft delete policy."""

    delete_right = "storage.objects.delete"

    def kept(self, root: str) -> list[Kept]:
        """Say how long soft delete keeps removed objects."""
        bucket = self._fs.split_path(root)[0]
        try:
            _, body = run(self._fs, self._fs._call, "GET", f"b/{bucket}")
            policy = _json(body).get("softDeletePolicy") or {}
        except Exception as error:  # noqa: BLE001 - whatever failed, the setting is not known
            return [_unknown("storage.buckets.get", error)]
        days = int(policy.get("retentionDurationSeconds") or 0) / 86_400
        return [_soft_delete(days)] if days else []

    async def _listed(self, prefix: str) -> list[OldVersion]:
        bucket, key, _ = self._fs.split_path(prefix)
        found: list[OldVersion] = []
        position: dict[str, str] = {}
        while True:
            _, body = await self._fs._call("GET", f"b/{bucket}/o", prefix=key, versions="true", **position)
            page = _json(body)
            found += [
                OldVersion(f"{bucket}/{one['name']}", str(one["generation"]))
                for one in page.get("items", ())
                if one.get("timeDeleted")
            ]
            if not page.get("nextPageToken"):
                return found
            position = {"pageToken": page["nextPageToken"]}

    async def _get(self, version: OldVersion) -> bytes:
        _, data = await self._fs._call("GET", self._fs.url(version.path), generation=version.id)
        return bytes(data)

    async def _delete(self, version: OldVersion) -> None:
        bucket, key, _ = self._fs.split_path(version.path)
        await self._fs._call("DELETE", "b/{}/o/{}", bucket, key, generation=version.id)


class AzureHistory(_CloudHistory):
    """Versions and snapshots of a container's blobs, and the account's soft delete."""

    delete_right = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action"

    def kept(self, root: str) -> list[Kept]:  # noqa: ARG002 - the account decides
        """Say how long soft delete keeps removed objects."""
        try:
            properties = run(self._fs, self._fs.service_client.get_service_properties)
            policy = properties["delete_retention_policy"]
        except Exception as error:  # noqa: BLE001 - whatever failed, the setting is not known
            return [_unknown("Microsoft.Storage/storageAccounts/blobServices/read", error)]
        return [_soft_delete(float(policy.days or 0))] if policy.enabled else []

    async def _listed(self, prefix: str) -> list[OldVersion]:
        container, name, _ = self._fs.split_path(prefix)
        client = self._fs.service_client.get_container_client(container)
        found = []
        async with client:
            async for blob in client.list_blobs(name_starts_with=name, include=["versions", "snapshots"]):
                if blob.snapshot or (blob.version_id and not blob.is_current_version):
                    mark = f"snapshot {blob.snapshot}" if blob.snapshot else str(blob.version_id)
                    found.append(OldVersion(f"{container}/{blob.name}", mark))
        return found

    async def _get(self, version: OldVersion) -> bytes:
        blob, which = self._blob(version)
        async with blob:
            data: bytes = await (await blob.download_blob(**which)).readall()
        return data

    async def _delete(self, version: OldVersion) -> None:
        blob, which = self._blob(version)
        async with blob:
            await blob.delete_blob(**which)

    def _blob(self, version: OldVersion) -> tuple[Any, dict[str, str]]:
        container, name, _ = self._fs.split_path(version.path)
        kind, _, snapshot = version.id.rpartition("snapshot ")
        if kind or version.id.startswith("snapshot "):
            client = self._fs.service_client.get_blob_client(container=container, blob=name, snapshot=snapshot)
            return client, {}
        client = self._fs.service_client.get_blob_client(container=container, blob=name)
        return client, {"version_id": version.id}


def _json(body: bytes) -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(body)
    return document


def _soft_delete(days: float) -> Kept:
    return Kept(
        f"soft delete of the store keeps what was removed or replaced for {days:g} days",
        "wait until these days have passed, or turn soft delete off and remove what it keeps",
    )


def _unknown(right: str, error: Exception) -> Kept:
    return Kept(
        f"whether soft delete of the store keeps what was removed could not be read ({type(error).__name__})",
        f"give these credentials the right {right} and run again, or look at the store's settings yourself",
    )


_OTHER_STORE: Final = Kept(
    "a store of this kind may keep older versions, and nothing here knows how to ask it",
    "look at the store's settings, and remove older versions there",
)
_HISTORIES: Final[dict[str, Any]] = {"s3": S3History, "gs": GcsHistory, "abfs": AzureHistory}


def history_of(fs: "AbstractFileSystem") -> History:
    """Give the history of a file system's objects."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    known = next((_HISTORIES[protocol] for protocol in protocols if protocol in _HISTORIES), None)
    if known is not None:
        history: History = known(fs)
        return history
    return NoHistory() if {"file", "memory"} & {*protocols} else NoHistory((_OTHER_STORE,))
