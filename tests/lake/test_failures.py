"""Stores that fail: an error names the path and the next step, what had landed is intact, the retry completes."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from pytest_mock import MockerFixture

from airflow_provider_clever.attendance.rows import RejectedRow
from airflow_provider_clever.exceptions import CleverLandingError
from airflow_provider_clever.lake.layout import objects_at
from airflow_provider_clever.lake.store import Destination
from tests.lake.builders import DISTRICT, SCHOOL, TODAY, context, day, row
from tests.lake.emulators import Store

LATER = "2026-04-02"
PATH = f"attendance/district={DISTRICT}/date={LATER}/school-{SCHOOL}.parquet"


def destination(store: Store) -> Destination:
    return Destination(store.filesystem(), store.root, district_id=DISTRICT)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for very little."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system; the test of a file-size limit covers the same code")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _land_until_full(lake: Destination) -> CleverLandingError:
    try:
        for number in range(1, 29):
            rows = [row(os.urandom(12).hex()) for _ in range(200)]
            lake.land(day(rows, attendance_date=f"2026-02-{number:02}"), context=context())
    except CleverLandingError as error:
        return error
    raise AssertionError("the disk never filled up")


def test_a_full_disk_is_named_and_what_had_landed_is_intact(full_disk: Path) -> None:
    lake = destination(Store("file", str(full_disk / "lake")))
    error = _land_until_full(lake)
    assert "no space left: free some" in str(error)
    assert str(full_disk / "lake" / "attendance") in str(error)
    assert error.__cause__ is None
    landed = sorted((full_disk / "lake").glob("attendance/**/*.parquet"))
    assert landed
    for path in landed:
        import pyarrow.parquet as pq

        assert pq.ParquetFile(path).read().num_rows == 200
    landed[0].unlink()
    (full_disk / "lake").joinpath(landed[0]).parent.rmdir()
    assert lake.land(day([row()]), context=context()).outcome == "written"


FILE_SIZE_LIMIT = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from tests.lake.test_failures import destination, _too_much
from tests.lake.emulators import Store
_too_much(destination(Store("file", sys.argv[1])))
"""


def _too_much(lake: Destination) -> None:
    rows = [row(os.urandom(12).hex()) for _ in range(500)]
    with pytest.raises(CleverLandingError, match="no space left"):
        lake.land(day(rows), context=context())


def test_a_file_size_limit_is_named_and_leaves_no_partition(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FILE_SIZE_LIMIT, str(tmp_path / "lake")], check=True, timeout=60)
    assert not list(tmp_path.glob("lake/attendance/**/*.parquet"))


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    """As another user, because root may write everywhere."""
    lake = tmp_path / "lake"
    lake.mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and os.getuid() == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    with pytest.raises(CleverLandingError, match=r"could not .*lake.*permission denied: give these credentials"):
        _as_nobody(destination(Store("file", str(lake))), lake)


def _as_nobody(lake: Destination, folder: Path) -> None:
    if os.getuid():
        folder.chmod(0o555)
        lake.check()
        return
    os.seteuid(65534)
    try:
        lake.check()
    finally:
        os.seteuid(0)


def test_a_file_where_a_folder_must_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("in the way")
    with pytest.raises(CleverLandingError, match="something else stands at this path"):
        destination(Store("file", str(tmp_path / "lake"))).check()


def test_a_damaged_partition_is_not_overwritten(local: Store) -> None:
    lake = destination(local)
    path = Path(local.root) / lake.land(day([row()]), context=context()).path
    path.write_bytes(b"damaged")
    with pytest.raises(CleverLandingError, match=r"school-.*cannot be merged into.*Restore an earlier version"):
        lake.land(day([row("b")]), context=context())
    assert path.read_bytes() == b"damaged"


def test_a_lock_that_another_process_never_gives_back_is_named(local: Store, mocker: MockerFixture) -> None:
    clock = itertools.count(time.monotonic())
    mocker.patch("time.monotonic", side_effect=clock)  # each look at the clock is a second later
    mocker.patch("time.sleep")
    lake = destination(local)
    target = Path(local.root) / lake.land(day([row()]), context=context()).path
    with (
        lake.objects.store.locked(str(target)),
        pytest.raises(CleverLandingError, match="another process has held its lock"),
    ):
        lake.land(day([row("b")]), context=context())
    assert lake.land(day([row("b")]), context=context()).outcome == "written"


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown")])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_s3_failing_for_a_while_is_waited_out(s3: Store, status: int, code: str, method: str) -> None:
    lake = destination(s3.below(f"{code}{method}"))
    s3.fail_next(3, status=status, code=code, method=method)
    assert lake.land(day([row()]), context=context()).outcome == "written"


def test_s3_failing_for_good_is_named_and_the_retry_completes(s3: Store, mocker: MockerFixture) -> None:
    mocker.patch("time.sleep")
    impatient = s3.options | {"config_kwargs": {"retries": {"max_attempts": 0}}}
    lake = destination(Store("s3", "lake/broken", impatient, s3.url))
    lake.land(day([row()]), context=context())
    s3.fail_next(1000, status=500, code="InternalError")
    try:
        with pytest.raises(CleverLandingError, match=f"could not write lake/broken/{PATH}.*run again") as caught:
            lake.land(day([row()], attendance_date=LATER), context=context())
    finally:
        s3.fail_next(0, status=500, code="")
    assert caught.value.__cause__ is None
    assert lake.land(day([row()]), context=context()).outcome == "unchanged"
    assert lake.land(day([row()], attendance_date=LATER), context=context()).outcome == "written"


def test_missing_rights_on_s3_are_named_at_once(s3: Store) -> None:
    s3.fail_next(1000, status=403, code="AccessDenied", method="GET")
    try:
        with pytest.raises(CleverLandingError, match="permission denied"):
            destination(s3.below("denied")).check()
    finally:
        s3.fail_next(0, status=403, code="", method="GET")


def test_missing_credentials_are_named_at_once(s3: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    nobody = Store("s3", "lake/nobody", {"client_kwargs": {"endpoint_url": s3.url}})
    with pytest.raises(CleverLandingError, match="no usable credentials: put them into the Airflow connection"):
        destination(nobody).check()


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_bucket_that_does_not_exist_is_named(request: pytest.FixtureRequest, kind: str) -> None:
    store: Store = request.getfixturevalue(kind)
    nowhere = Store(store.protocol, "no-such-lake/prefix", store.options, store.url)
    with pytest.raises(CleverLandingError, match=r"no-such-lake.*no such bucket, container or folder: create it"):
        destination(nowhere).check()


def test_an_answer_that_got_lost_after_the_write_is_not_taken_for_another_writers(
    s3: Store,
) -> None:
    """The store has written, but says 500; the repeated request finds the object changed, by ourselves."""
    store = s3.below("lost-answer")
    lake = destination(store)
    s3.fail_next(1, status=500, code="InternalError", method="PUT-AFTER")
    outcome = lake.land(day([row("a"), row("b")]), context=context())
    assert (outcome.outcome, outcome.counts.added) == ("written", 2)
    s3.fail_next(1, status=500, code="InternalError", method="PUT-AFTER")
    assert lake.quarantine([RejectedRow("bad", 1, 1, "{}")], today=TODAY) == 1
    assert lake.quarantine([RejectedRow("bad", 1, 1, "{}")], today=TODAY) == 0


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
@pytest.mark.parametrize("listed", ["names", "names_below"])
@pytest.mark.parametrize("path", ["", "attendance/district=d1"])
def test_a_listing_where_there_is_no_bucket_is_an_error_and_an_empty_bucket_is_empty(
    request: pytest.FixtureRequest, kind: str, listed: str, path: str
) -> None:
    cloud: Store = request.getfixturevalue(kind)
    assert getattr(objects_at(cloud.filesystem(), f"{cloud.root}/nothing-here"), listed)(path) == []
    for root in ("no-such-lake", "no-such-lake/clever"):
        objects = objects_at(cloud.filesystem(), root)
        for _ in range(2):
            with pytest.raises(CleverLandingError, match=r"no-such-lake.*no such bucket, container or folder: create"):
                getattr(objects, listed)(path)


def test_a_folder_that_does_not_exist_yet_is_an_empty_destination_on_this_machine(tmp_path: Path) -> None:
    objects = objects_at(LocalFileSystem(), str(tmp_path / "not-yet"))
    assert (objects.names(""), objects.names_below("attendance")) == ([], [])


def test_a_store_that_can_only_be_read_is_listed_as_before() -> None:
    objects = objects_at(DirFileSystem("/read-only", MemoryFileSystem()), "lake")
    assert objects.names("attendance") == []
