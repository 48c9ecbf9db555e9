"""The port over the operating system."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ottla.storage.fs import File, OsFileSystem


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def fs() -> OsFileSystem:
    return OsFileSystem(max_open_files=3)


def test_buffers_are_written_at_a_position(fs: OsFileSystem, tmp_path: Path) -> None:
    file = fs.open(str(tmp_path / "f"))
    assert file.write((b"ab", memoryview(b"cdef")), 0) == 6
    assert file.write((b"X",), 1) == 1
    assert (file.pread(100, 0), file.pread(2, 3), file.pread(5, 6)) == (b"aXcdef", b"de", b"")
    file.truncate(3)
    file.sync()
    assert file.size() == 3
    assert (tmp_path / "f").read_bytes() == b"aXc"
    file.close()
    assert file.pread(3, 0) == b"aXc", "a pooled file opens again"
    file.close()


def test_a_file_that_has_the_size_is_not_truncated(fs: OsFileSystem, tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = fs.open(str(path))
    file.truncate(0)
    assert path.read_bytes() == b"", "it is created all the same"
    file.write((b"abc",), 0)
    os.utime(path, (1, 1))
    file.truncate(3)
    assert path.stat().st_mtime == 1
    file.truncate(0)
    assert path.stat().st_mtime > 1
    file.close()


def test_few_descriptors_serve_many_files(fs: OsFileSystem, tmp_path: Path) -> None:
    before = open_descriptors()
    files = [fs.open(str(tmp_path / str(number))) for number in range(20)]
    assert open_descriptors() == before
    for _ in range(3):
        for number, file in enumerate(files):
            file.write((b"%d" % number,), 0)
            assert fs.open_files <= 3
    assert open_descriptors() <= before + 3
    assert [file.pread(9, 0) for file in files] == [b"%d" % number for number in range(20)]
    for file in files:
        file.close()
    assert open_descriptors() == before
    assert fs.open_files == 0


def test_a_file_in_use_keeps_its_descriptor(tmp_path: Path) -> None:
    fs = OsFileSystem(max_open_files=2)
    busy = fs.open(str(tmp_path / "busy"))
    busy.write((b"x",), 0)
    descriptor = next(fd for fd in os.listdir("/proc/self/fd") if _target(fd) == str(tmp_path / "busy"))
    for number in range(6):
        busy.pread(1, 0)
        fs.open(str(tmp_path / str(number))).write((b"y",), 0)
        busy.pread(1, 0)
    assert _target(descriptor) == str(tmp_path / "busy")


def _target(descriptor: str) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return None


def test_running_out_of_descriptors_closes_half_of_the_pool(tmp_path: Path) -> None:
    fs = OsFileSystem(max_open_files=1_000)
    files: list[File] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(fd) for fd in os.listdir("/proc/self/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        for number in range(60):
            file = fs.open(str(tmp_path / str(number)))
            file.write((b"x",), 0)
            files.append(file)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in files:
            file.close()
    assert len(list(tmp_path.iterdir())) == 60


def test_a_private_file_may_have_to_exist(fs: OsFileSystem, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open_private(str(tmp_path / "no"), create=False).size()
    file = fs.open_private(str(tmp_path / "yes"))
    assert file.size() == 0
    file.close()
    assert fs.exists(str(tmp_path / "yes"))


def test_a_file_is_replaced_whole(fs: OsFileSystem, tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    fs.write_atomic(path, b"one")
    fs.write_atomic(path, b"two")
    assert fs.read_bytes(path) == b"two"
    assert fs.listdir(str(tmp_path)) == ["f"]
    with pytest.raises(FileNotFoundError):
        fs.write_atomic(str(tmp_path / "missing" / "f"), b"x")


def test_large_content_comes_back(fs: OsFileSystem, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    fs.write_bytes(str(tmp_path / "f"), data)
    assert fs.read_bytes(str(tmp_path / "f")) == data
    fs.write_bytes(str(tmp_path / "f"), b"short")
    assert fs.read_bytes(str(tmp_path / "f")) == b"short"


def test_folders_and_times(fs: OsFileSystem, tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "b")
    fs.make_dirs(folder)
    fs.make_dirs(folder)
    fs.write_bytes(f"{folder}/f", b"12")
    fs.set_modified_ms(f"{folder}/f", 1_234_567)
    assert (fs.size(f"{folder}/f"), fs.modified_ms(f"{folder}/f")) == (2, 1_234_567)
    fs.rename(f"{folder}/f", f"{folder}/g")
    fs.sync_file(f"{folder}/g")
    fs.sync_dir(folder)
    with pytest.raises(OSError) as error:
        fs.remove_dir(folder)
    assert error.value.errno == errno.ENOTEMPTY
    fs.unlink(f"{folder}/g", missing_ok=False)
    fs.unlink(f"{folder}/g")
    with pytest.raises(FileNotFoundError):
        fs.unlink(f"{folder}/g", missing_ok=False)
    fs.remove_dir(folder)
    assert not fs.exists(folder)


def test_a_lock_has_one_holder(fs: OsFileSystem, tmp_path: Path) -> None:
    path = str(tmp_path / ".lock")
    lock = fs.lock(path)
    with pytest.raises(BlockingIOError):
        fs.lock(path)
    lock.release()
    lock.release()
    fs.lock(path).release()


def test_a_lock_holds_against_another_process_and_javas_kind(fs: OsFileSystem, tmp_path: Path) -> None:
    path = str(tmp_path / ".lock")
    lock = fs.lock(path)
    script = (
        "import fcntl,sys\n"
        "f = open(sys.argv[1], 'r+')\n"
        "try: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 3
    lock.release()
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 0


def test_a_pool_needs_room() -> None:
    with pytest.raises(ValueError, match="0 descriptors"):
        OsFileSystem(max_open_files=0)
