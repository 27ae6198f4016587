"""Objects in S3, Google Cloud Storage and Azure Blob Storage, through the clients that s3fs, gcsfs and adlfs hold.

fsspec's own calls give bytes without the version they belong to, and only gcsfs and s3fs can create on condition; so
each class here makes requests of its own: a GET whose answer carries the version, a PUT on condition of it, and a LIST
whose answer carries the versions. fsspec runs them in its I/O thread, so any thread may ask.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.storage.versions import ABSENT, PlainStore, PreconditionFailedError, Version

if TYPE_CHECKING:
    from fsspec.asyn import AsyncFileSystem

ANSWER_SECONDS: Final = 120.0
"""How long one request may take, the libraries' own retries among it. gcsfs alone would wait for ever. A write that
still arrives after that meets its condition, like any other late one."""


_S3_LOST_RACE: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
"""S3's answers if the condition does not hold; 409: another conditional request was in progress."""


class _CloudStore(PlainStore):
    """What the three stores share.

    :raises CleverSettingsError: the library lacks a method that is called here; most of these are not public.
    """

    needs: ClassVar[tuple[str, ...]]

    def __init__(self, fs: "AsyncFileSystem") -> None:
        self._fs = fs
        if missing := [name for name in self.needs if not hasattr(fs, name)]:
            raise _not_as_known(fs, f"it has no {', '.join(missing)}")

    def read(self, path: str) -> tuple[bytes, Version] | None:
        """GET the object, and the version of the same answer."""
        found: tuple[bytes, Version] | None = run(self._fs, self._get, path)
        return found

    def write(self, path: str, data: bytes, expected: Version) -> Version | None:
        """PUT the object in one request."""
        written: Version | None = run(self._fs, self._put, path, data, expected)
        return written

    def delete(self, path: str, expected: Version) -> None:
        """DELETE the object on condition of its version."""
        run(self._fs, self._delete, path, expected)

    def versions(self, prefix: str) -> list[tuple[str, Version]]:
        """LIST the objects, a thousand or more in each request."""
        found: list[tuple[str, Version]] = run(self._fs, self._list, prefix)
        return found

    @abstractmethod
    async def _get(self, path: str) -> tuple[bytes, Version] | None: ...

    @abstractmethod
    async def _put(self, path: str, data: bytes, expected: Version) -> Version | None: ...

    @abstractmethod
    async def _delete(self, path: str, expected: Version) -> None: ...

    @abstractmethod
    async def _list(self, prefix: str) -> list[tuple[str, Version]]: ...


class S3Store(_CloudStore):
    """S3 and compatible stores: ``If-Match`` and ``If-None-Match`` on ETags."""

    needs = ("_call_s3", "split_path", "loop")

    async def _get(self, path: str) -> tuple[bytes, Version] | None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key)
        except FileNotFoundError as error:
            if s3_code(error) == "NoSuchBucket":
                raise
            return None
        async with answer["Body"] as body:
            return await body.read(), _etag(answer["ETag"])

    async def _put(self, path: str, data: bytes, expected: Version) -> Version | None:
        bucket, key, _ = self._fs.split_path(path)
        condition = {"IfNoneMatch": "*"} if expected == ABSENT else {"IfMatch": _quoted(expected)}
        try:
            answer = await self._fs._call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)
        except OSError as error:
            # NoSuchKey: it was to be replaced and is gone.
            if s3_code(error) in {*_S3_LOST_RACE, "NoSuchKey"}:
                raise PreconditionFailedError from None
            raise
        return _etag(answer["ETag"]) if answer.get("ETag") else None

    async def _delete(self, path: str, expected: Version) -> None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            await self._fs._call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=_quoted(expected))
        except FileNotFoundError as error:
            if s3_code(error) == "NoSuchBucket":
                raise
        except OSError as error:
            if s3_code(error) in _S3_LOST_RACE:
                raise PreconditionFailedError from None
            raise

    async def _list(self, prefix: str) -> list[tuple[str, Version]]:
        bucket, key, _ = self._fs.split_path(prefix)
        found: list[tuple[str, Version]] = []
        page: dict[str, str] = {}
        while True:
            answer = await self._fs._call_s3("list_objects_v2", Bucket=bucket, Prefix=key, **page)
            found += [(f"{bucket}/{one['Key']}", _etag(one["ETag"])) for one in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return found
            page = {"ContinuationToken": answer["NextContinuationToken"]}


class GcsStore(_CloudStore):
    """Google Cloud Storage: ``ifGenerationMatch``, where generation 0 means that there is no object."""

    needs = ("_call", "_location", "url", "split_path", "loop")

    async def _get(self, path: str) -> tuple[bytes, Version] | None:
        try:
            headers, data = await self._fs._call("GET", self._fs.url(path))
        except FileNotFoundError:
            return None
        return data, Version(headers["x-goog-generation"])

    async def _put(self, path: str, data: bytes, expected: Version) -> Version | None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            _, answer = await self._fs._call(
                "POST",
                f"{self._fs._location}/upload/storage/v1/b/{bucket}/o",
                uploadType="media",
                name=key,
                ifGenerationMatch="0" if expected == ABSENT else expected.mark,
                headers={"Content-Type": "application/octet-stream"},
                data=data,
            )
        except FileExistsError:  # gcsfs' word for 412
            raise PreconditionFailedError from None
        generation = json.loads(answer).get("generation")
        return Version(str(generation)) if generation else None

    async def _list(self, prefix: str) -> list[tuple[str, Version]]:
        bucket, key, _ = self._fs.split_path(prefix)
        found: list[tuple[str, Version]] = []
        page: str | None = None
        while True:
            answer = await self._fs._call(
                "GET",
                "b/{}/o",
                bucket,
                prefix=key,
                fields="items(name,generation),nextPageToken",
                pageToken=page,
                json_out=True,
            )
            found += [(f"{bucket}/{one['name']}", Version(str(one["generation"]))) for one in answer.get("items", ())]
            page = answer.get("nextPageToken")
            if not page:
                return found

    async def _delete(self, path: str, expected: Version) -> None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            await self._fs._call("DELETE", "b/{}/o/{}", bucket, key, ifGenerationMatch=expected.mark)
        except FileNotFoundError:
            return
        except FileExistsError:  # gcsfs' word for 412
            raise PreconditionFailedError from None


class AzureStore(_CloudStore):
    """Azure Blob Storage: ``If-Match`` and ``If-None-Match`` on ETags."""

    needs = ("service_client", "split_path", "loop")

    async def _get(self, path: str) -> tuple[bytes, Version] | None:
        from azure.core.exceptions import ResourceNotFoundError

        async with self._blob(path) as blob:
            try:
                answer = await blob.download_blob()
            except ResourceNotFoundError as error:
                if _azure_code(error) == "ContainerNotFound":
                    raise
                return None
            return await answer.readall(), _etag(answer.properties.etag)

    async def _put(self, path: str, data: bytes, expected: Version) -> Version | None:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        condition: dict[str, Any] = {"overwrite": False}
        if expected != ABSENT:
            condition = {"overwrite": True, "etag": _quoted(expected), "match_condition": MatchConditions.IfNotModified}
        async with self._blob(path) as blob:
            try:
                answer = await blob.upload_blob(data, **condition)
            except (ResourceExistsError, ResourceModifiedError):
                raise PreconditionFailedError from None
            except ResourceNotFoundError as error:
                if _azure_code(error) == "ContainerNotFound":
                    raise
                raise PreconditionFailedError from None
        return _etag(answer["etag"]) if answer.get("etag") else None

    async def _list(self, prefix: str) -> list[tuple[str, Version]]:
        container, name, _ = self._fs.split_path(prefix)
        async with self._fs.service_client.get_container_client(container=container) as client:
            blobs = client.list_blobs(name_starts_with=name)
            return [(f"{container}/{blob.name}", _etag(blob.etag)) async for blob in blobs]

    async def _delete(self, path: str, expected: Version) -> None:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        async with self._blob(path) as blob:
            try:
                await blob.delete_blob(
                    delete_snapshots="include",
                    etag=_quoted(expected),
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceModifiedError:
                raise PreconditionFailedError from None
            except ResourceNotFoundError as error:
                if _azure_code(error) == "ContainerNotFound":
                    raise

    def _blob(self, path: str) -> Any:
        container, name, _ = self._fs.split_path(path)
        return self._fs.service_client.get_blob_client(container=container, blob=name)


def run(fs: "AsyncFileSystem", request: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
    """Make requests in fsspec's I/O thread, and give their result.

    :raises CleverSettingsError: the library lacks the method that was called.
    """
    from fsspec.asyn import sync

    try:
        return sync(fs.loop, request, *arguments, timeout=ANSWER_SECONDS)
    except (TypeError, AttributeError) as error:
        raise _not_as_known(fs, type(error).__name__) from None


def _not_as_known(fs: "AsyncFileSystem", why: str) -> CleverSettingsError:
    from importlib.metadata import PackageNotFoundError, version

    library = type(fs).__module__.partition(".")[0]
    try:
        installed = version(library)
    except PackageNotFoundError:
        installed = "of unknown version"
    return CleverSettingsError(
        f"{library} {installed} does not work as this release of airflow-provider-clever knows it ({why}), so it "
        f"cannot write on condition: install the version of {library} that worked before and report this, or pass "
        "single_writer=True if never more than one task writes there"
    )


def _etag(given: str) -> Version:
    # Some stores, and some listings, give an ETag without the quotes that the header requires.
    return Version(given.strip('"'))


def _quoted(version: Version) -> str:
    return f'"{version.mark}"'


def s3_code(error: BaseException) -> str:
    """Give the code of S3's error answer; empty: there is none."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _azure_code(error: BaseException) -> str:
    return str(getattr(error, "error_code", ""))
