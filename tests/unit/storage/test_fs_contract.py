"""The port's promises, held to the operating system's disk and to the simulated one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.storage.fs import FileSystem, OsFileSystem

from .simulated_disk import PowerLossError, SimulatedDisk


@pytest.fixture(params=["system", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FileSystem, str]:
    """A disk, and an empty folder on it."""
    if request.param == "system":
        return OsFileSystem(), str(tmp_path)
    return SimulatedDisk().mount(), "/data"  # type: ignore[return-value]


def test_folders_are_listed_with_files(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    assert fs.listdir(at) == []
    fs.make_dirs(f"{at}/t-0/below")
    fs.make_dirs(f"{at}/t-0")
    fs.write_bytes(f"{at}/file", b"x")
    fs.write_bytes(f"{at}/t-0/inside", b"xy")
    assert sorted(fs.listdir(at)) == ["file", "t-0"]
    assert sorted(fs.listdir(f"{at}/t-0")) == ["below", "inside"]
    assert fs.exists(f"{at}/t-0")
    assert not fs.exists(f"{at}/t-1")
    for missing in ("t-1", "t-1/below"):
        with pytest.raises(FileNotFoundError):
            fs.listdir(f"{at}/{missing}")
        with pytest.raises(FileNotFoundError):
            fs.write_bytes(f"{at}/{missing}/file", b"")
    with pytest.raises(NotADirectoryError):
        fs.listdir(f"{at}/file")


@pytest.mark.parametrize("sync", [False, True])
def test_folders_are_made_with_those_above(disk: tuple[FileSystem, str], sync: bool) -> None:
    fs, at = disk
    for _ in range(2):
        fs.make_dirs(f"{at}/a/b/c", sync=sync)
    assert (fs.listdir(at), fs.listdir(f"{at}/a"), fs.listdir(f"{at}/a/b")) == (["a"], ["b"], ["c"])


def test_a_folder_is_renamed_with_what_is_in_it(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    fs.make_dirs(f"{at}/t-0/below")
    file = fs.open_private(f"{at}/t-0/file")
    file.write((b"abc",), 0)
    fs.rename(f"{at}/t-0", f"{at}/t-0.1-delete")
    assert fs.listdir(at) == ["t-0.1-delete"]
    assert fs.read_bytes(f"{at}/t-0.1-delete/file") == b"abc"
    file.close()
    fs.sync_dir(at)
    fs.make_dirs(f"{at}/t-0")
    fs.write_bytes(f"{at}/t-0/other", b"")
    with pytest.raises(OSError, match="not empty"):
        fs.rename(f"{at}/t-0.1-delete", f"{at}/t-0")
    with pytest.raises(FileNotFoundError):
        fs.rename(f"{at}/t-1", f"{at}/t-2")


def test_a_renamed_file_takes_anothers_place(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    fs.write_bytes(f"{at}/new", b"new")
    fs.write_bytes(f"{at}/old", b"old")
    fs.rename(f"{at}/new", f"{at}/old")
    assert fs.listdir(at) == ["old"]
    assert fs.read_bytes(f"{at}/old") == b"new"


@pytest.mark.parametrize("write", ["write_bytes", "write_aside", "write_atomic"])
def test_files_are_replaced(disk: tuple[FileSystem, str], write: str) -> None:
    fs, at = disk
    for data in (b"longer", b"short"):
        getattr(fs, write)(f"{at}/file", data)
        assert fs.read_bytes(f"{at}/file") == data
        assert fs.size(f"{at}/file") == len(data)
    assert fs.listdir(at) == ["file"]


def test_only_empty_folders_are_removed(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    fs.make_dirs(f"{at}/t-0")
    fs.write_bytes(f"{at}/t-0/file", b"")
    with pytest.raises(OSError, match="not empty"):
        fs.remove_dir(f"{at}/t-0")
    fs.unlink(f"{at}/t-0/file")
    fs.unlink(f"{at}/t-0/file")
    with pytest.raises(FileNotFoundError):
        fs.unlink(f"{at}/t-0/file", missing_ok=False)
    fs.remove_dir(f"{at}/t-0")
    assert fs.listdir(at) == []


def test_a_lock_has_one_holder(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    lock = fs.lock(f"{at}/.lock")
    with pytest.raises(BlockingIOError):
        fs.lock(f"{at}/.lock")
    lock.release()
    fs.lock(f"{at}/.lock").release()


def test_the_disk_tells_its_space(disk: tuple[FileSystem, str]) -> None:
    fs, at = disk
    space = fs.space(at)
    assert 0 < space.free <= space.total
    with pytest.raises(FileNotFoundError):
        fs.space(f"{at}/t-1")


def after_power_loss(disk: SimulatedDisk) -> SimulatedDisk:
    disk.lose_power()
    with pytest.raises(PowerLossError):
        disk.write_bytes("/data/x", b"")
    disk.restart()
    return disk


def test_a_full_disk_has_no_space() -> None:
    disk = SimulatedDisk()
    disk.capacity = 100
    disk.write_bytes("/data/file", bytes(70))
    assert disk.space("/data") == (100, 30)
    with pytest.raises(OSError, match="No space left"):
        disk.write_bytes("/data/other", bytes(31))


def test_what_was_synced_outlives_a_power_loss() -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed, folders=())
        disk.make_dirs("/data/t-0", sync=True)
        disk.write_atomic("/data/t-0/file", b"abc")
        after_power_loss(disk)
        assert disk.read_bytes("/data/t-0/file") == b"abc"


def test_a_power_loss_takes_writes_entries_and_folders_that_were_not_synced() -> None:
    contents: set[bytes | None] = set()
    folders = set()
    for seed in range(200):
        disk = SimulatedDisk(seed)
        disk.make_dirs("/data/t-0")
        disk.write_bytes("/data/file", b"abc")
        disk.write_bytes("/data/t-0/file", b"x")
        disk.sync_dir("/data/t-0")
        after_power_loss(disk)
        contents.add(disk.read_bytes("/data/file") if disk.exists("/data/file") else None)
        folders.add(disk.exists("/data/t-0/file"))
    assert contents == {None, b"", b"a", b"ab", b"abc", b"\0\0\0"}
    assert folders == {True, False}, "a folder's own entry lies in the folder above"


def test_a_renamed_folder_is_at_one_place() -> None:
    found = set()
    for seed in range(50):
        disk = SimulatedDisk(seed)
        disk.make_dirs("/data/t-0", sync=True)
        disk.write_atomic("/data/t-0/file", b"x")
        disk.rename("/data/t-0", "/data/t-0.1-delete")
        after_power_loss(disk)
        [name] = disk.listdir("/data")
        assert disk.read_bytes(f"/data/{name}/file") == b"x"
        found.add(name)
    assert found == {"t-0", "t-0.1-delete"}


def test_a_life_before_does_not_reach_the_next_one() -> None:
    disk = SimulatedDisk()
    before = disk.mount()
    file = before.open("/data/file")
    file.write((b"old",), 0)
    lock = before.lock("/data/.lock")
    after_power_loss(disk)
    for late in (
        lambda: file.write((b"late",), 0),
        lambda: file.pread(1, 0),
        lambda: before.read_bytes("/data/file"),
        lambda: before.listdir("/data"),
    ):
        with pytest.raises(PowerLossError):
            late()
    disk.mount().lock("/data/.lock")
    lock.release()
