"""Local disks as they are: one volume under two names, folders that cannot be flushed, locks that are none."""

import errno
import fcntl
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.lake.formats import FORMATS
from airflow_provider_clever.lake.layout import lock_folder
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.storage import objects
from airflow_provider_clever.storage.local_probe import kind_of_mount
from airflow_provider_clever.storage.local_store import LocalStore, Lock
from tests.lake import lander
from tests.lake.builders import DAY, DISTRICT, SCHOOL, context, day, listed, row
from tests.lake.emulators import Store
from tests.support.forked import processes

PATH = f"attendance/district={DISTRICT}/date={DAY}/school-{SCHOOL}.jsonl.gz"
ROWS_EACH = 60


def destination(root: Path | str, **options: Any) -> Destination:
    return Destination(Store("file", "").filesystem(), str(root), district_id=DISTRICT, file_format="jsonl", **options)


def lock_of(root: str, path: str) -> Lock:
    return LocalStore(root, lock_folder).lock_of(f"{root}/{path}")


def rows_of(root: Path | str, path: str = PATH) -> list[dict[str, Any]]:
    return listed(FORMATS["jsonl"].read((Path(root) / path).read_bytes()).rows)


def _mount(*arguments: str) -> None:
    if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode:
        pytest.skip("only root can mount, and not in every container")


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Callable[[Path, Path], Path]]:
    """Give a folder a second name by a mount, until the test ends."""
    made: list[Path] = []

    def bind(folder: Path, name: Path) -> Path:
        name.mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(folder), str(name))
        made.append(name)
        return name

    yield bind
    for name in reversed(made):
        subprocess.run(["umount", str(name)], check=True)


# --- one volume under two names ---------------------------------------------------------------------------------------


def _race(*roots: Path | str) -> None:
    barrier = processes.Barrier(len(roots))
    writers = [
        processes.Process(target=lander.adder, args=(str(root), f"writer{number}-", ROWS_EACH, barrier))
        for number, root in enumerate(roots)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0


def _linked(volume: Path, folder: Path, bind: Callable[[Path, Path], Path]) -> str:
    (folder / "link").symlink_to(volume)
    return f"{folder}/link/lake"


def _bound(volume: Path, folder: Path, bind: Callable[[Path, Path], Path]) -> str:
    return f"{bind(volume, folder / 'second')}/lake"


def _bound_at_the_destination(volume: Path, folder: Path, bind: Callable[[Path, Path], Path]) -> str:
    (volume / "lake").mkdir()
    return str(bind(volume / "lake", folder / "second"))


def _doubled(volume: Path, folder: Path, bind: Callable[[Path, Path], Path]) -> str:
    return f"/{volume}//lake"


def _linked_below_another_name(volume: Path, folder: Path, bind: Callable[[Path, Path], Path]) -> str:
    (volume / "lake").mkdir()  # nothing can be made below a link that leads nowhere
    (folder / f"district={DISTRICT}").symlink_to(volume / "lake")
    return f"{folder}/district={DISTRICT}"


@pytest.mark.parametrize("spelled", [_linked, _bound, _bound_at_the_destination, _doubled, _linked_below_another_name])
def test_two_processes_that_know_one_volume_by_two_names_lose_no_row(
    spelled: Callable[..., str], tmp_path: Path, bound: Callable[[Path, Path], Path]
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    _race(volume / "lake", spelled(volume, tmp_path, bound))
    assert len(rows_of(volume / "lake")) == 2 * ROWS_EACH


def test_the_lock_of_a_file_does_not_depend_on_what_its_destination_is_called() -> None:
    roots = ("/data/lake", "//data/lake", "/DATA/Lake", "lake", f"/data/district={DISTRICT}/lake", "/data/district=x")
    locks = {root: lock_of(root, PATH) for root in roots}
    assert len({lock.number for lock in locks.values()}) == 1
    assert {root: lock.folder for root, lock in locks.items()} == {
        root: f"{root}/_clever/district={DISTRICT}/local" for root in roots
    }


@pytest.mark.parametrize("name", ["attendance", f"attendance/district={DISTRICT}", "_clever"])
def test_a_part_of_a_destination_that_lies_elsewhere_is_refused_before_it_could_be_locked_twice(
    name: str, tmp_path: Path, bound: Callable[[Path, Path], Path]
) -> None:
    destination(tmp_path / "first").check()
    destination(tmp_path / "first").land(day([row()]), context=context())
    (tmp_path / "second" / name).parent.mkdir(parents=True)
    (tmp_path / "second" / name).symlink_to(tmp_path / "first" / name)
    with pytest.raises(CleverSettingsError, match=rf"second/{name} is a symbolic link.*single_writer"):
        destination(tmp_path / "second").check()
    destination(tmp_path / "second", single_writer=True).check()
    bound(tmp_path / "first" / name, tmp_path / "third" / name)
    with pytest.raises(CleverSettingsError, match=rf"third/{name} is a mount of its own"):
        destination(tmp_path / "third").check()
    assert len(rows_of(tmp_path / "first")) == 1


def test_a_lock_file_that_a_cleaner_of_old_files_took_away_is_made_again_and_waited_for(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    lake = destination(tmp_path / "lake")
    lake.land(day([row("a")]), context=context())
    file = Path(lock_of(f"{tmp_path}/lake", PATH).path)
    flock, locked = fcntl.flock, []

    def cleaned_first(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if not locked:
            file.unlink()  # after it was opened, before it was locked
        locked.append(descriptor)

    mocker.patch("fcntl.flock", cleaned_first)
    lake.land(day([row("b")], whole=False), context=context())
    assert len(locked) == 2
    assert file.exists()


# --- what a file system may lack --------------------------------------------------------------------------------------


def _refusing_folders(code: int) -> Callable[[int], None]:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    return refuse


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF], ids=errno.errorcode.get)
def test_folders_that_cannot_be_flushed_cost_a_warning_and_nothing_else(
    code: int, tmp_path: Path, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    mocker.patch("os.fsync", _refusing_folders(code))
    slept = mocker.patch.object(objects.time, "sleep")
    renamed = mocker.spy(os, "rename")
    lake = destination(tmp_path / "lake")
    lake.check()
    assert "cannot flush folders" in caplog.text
    before = renamed.call_count
    for number in range(1, 21):
        landed = lake.land(day([row()], attendance_date=f"2026-03-{number:02}"), context=context())
        assert landed.outcome == "written"
    assert renamed.call_count - before == 20  # one write each: no try failed
    assert slept.call_count == 0
    assert "trying again" not in caplog.text


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_folder_whose_flush_went_wrong_is_no_folder_that_cannot_be_flushed(
    code: int, tmp_path: Path, mocker: MockerFixture
) -> None:
    lake = destination(tmp_path / "lake")
    lake.check()
    mocker.patch("os.fsync", _refusing_folders(code))
    mocker.patch.object(objects.time, "sleep")
    with pytest.raises(Exception, match=errno.errorcode[code]):
        lake.land(day([row()]), context=context())


def test_a_partition_is_on_the_disk_before_it_has_its_name_and_its_name_is_before_the_write_returns(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    lake = destination(tmp_path / "lake")
    lake.check()
    lake.land(day([row("a")]), context=context())
    fsync, rename = os.fsync, os.rename
    seen: list[tuple[str, str, int]] = []

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(("flushed", str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size))

    def renamed(source: str, target: str) -> None:
        seen.append(("renamed", str(source), Path(source).stat().st_size))
        rename(source, target)

    mocker.patch("os.fsync", flushed)
    mocker.patch("os.rename", renamed)
    lake.land(day([row("a"), row("b")]), context=context())
    file = tmp_path / "lake" / PATH
    (flush, name, size), (move, source, moved), (flush_folder, folder, _) = seen
    assert (flush, move, flush_folder) == ("flushed", "renamed", "flushed")
    assert name == source
    assert size == moved == file.stat().st_size > 0
    assert folder == str(file.parent)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL], ids=errno.errorcode.get)
def test_a_file_system_without_locks_is_refused_unless_there_is_one_writer(
    code: int, tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch("fcntl.flock", side_effect=OSError(code, os.strerror(code)))
    with pytest.raises(
        CleverSettingsError, match=rf"locks do not work \({errno.errorcode[code]}\).*single_writer=True"
    ):
        destination(tmp_path / "lake").check()
    with pytest.raises(CleverSettingsError, match="locks do not work"):
        destination(tmp_path / "lake").land(day([row()]), context=context())
    alone = destination(tmp_path / "lake", single_writer=True)
    alone.check()
    assert alone.land(day([row()]), context=context()).outcome == "written"
    assert len(rows_of(tmp_path / "lake")) == 1


def test_locks_that_keep_nobody_out_are_refused_unless_there_is_one_writer(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch("fcntl.flock")
    with pytest.raises(CleverSettingsError, match=r"one lock was granted twice.*single_writer=True"):
        destination(tmp_path / "lake").check()
    destination(tmp_path / "lake", single_writer=True).check()


def test_a_rename_that_replaces_nothing_is_refused(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("os.rename")
    with pytest.raises(CleverSettingsError, match="does not replace a file by renaming"):
        destination(tmp_path / "lake").check()


def test_an_object_store_that_is_mounted_is_refused_unless_there_is_one_writer(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    read_text = Path.read_text

    def disguised(path: Path, *arguments: Any, **options: Any) -> str:
        if str(path) != "/proc/self/mountinfo":
            return read_text(path, *arguments, **options)
        return "\n".join(
            " ".join([*line.split(" - ")[0].split(), "-", "fuse.s3fs", "s3fs", "rw"]) for line in mounts.splitlines()
        )

    mocker.patch.object(Path, "read_text", disguised)
    with pytest.raises(CleverSettingsError, match=r"mounted as a file system \(fuse.s3fs\).*single_writer=True"):
        destination(tmp_path / "lake").check()
    destination(tmp_path / "lake", single_writer=True).check()


def test_the_kind_of_a_mount_is_read_as_proc_tells_it() -> None:
    mounts = (
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"
        "37 35 0:52 / /lake rw - fuse.gcsfuse bucket rw\n"
    )
    assert [kind_of_mount(mounts, mount) for mount in ("36", "37", "38")] == ["ext3", "fuse.gcsfuse", ""]


def test_landing_works_on_a_file_system_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    _mount("-t", "tmpfs", "tmpfs", str(folder))
    try:
        place = open_destination(f"file://{folder}/lake")
        lake = Destination(place.objects.fs, place.objects.root, district_id=DISTRICT, file_format="jsonl")
        lake.check()
        assert lake.land(day([row()]), context=context()).outcome == "written"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_check_leaves_nothing_among_the_data_and_the_same_few_files_each_time(tmp_path: Path) -> None:
    for _ in range(3):
        destination(tmp_path / "lake").check()
    files = {str(file.relative_to(tmp_path / "lake")) for file in (tmp_path / "lake").rglob("*") if file.is_file()}
    ours = f"_clever/district={DISTRICT}"
    lock = lock_of(f"{tmp_path}/lake", f"{ours}/destination.json").number
    assert files == {
        f"{ours}/destination.json",
        f"{ours}/local/{lock:02}.lock",
        f"{ours}/local/rehearsal",
        f"{ours}/local/rehearsal.lock",
    }
