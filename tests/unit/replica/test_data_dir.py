"""Data folders on a disk that forgets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.storage.simulated_disk import PowerLossError, SimulatedDisk

from ottla.replica.data_dir import DataDirError
from ottla.replica.data_dirs import DataDirs
from ottla.storage.checkpoints import (
    DirectoryLockedError,
    MetaProperties,
    read_meta_properties,
    write_clean_shutdown,
    write_meta_properties,
)

METADATA = "metadata.sqlite"


def ids(prefix: str) -> Callable[[], str]:
    numbers = iter(range(100))
    return lambda: f"{prefix}{next(numbers)}"


def open_dirs(
    disk: SimulatedDisk, *paths: str, metadata: str | None = None, prefix: str = "id"
) -> tuple[DataDirs, str]:
    dirs = DataDirs(disk.mount(), paths, metadata)
    return dirs, opened(dirs, prefix)


def opened(dirs: DataDirs, prefix: str = "id") -> str:
    new_id = ids(prefix)
    cluster_id = dirs.take(1, METADATA) or new_id()
    dirs.format(cluster_id, 1, new_id)
    return cluster_id


def test_a_folder_keeps_its_identity_from_the_first_start_on() -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed, folders=())
        _, first = open_dirs(disk, "/var/lib/ottla")
        with pytest.raises(DirectoryLockedError):
            open_dirs(disk, "/var/lib/ottla")
        disk.lose_power()
        disk.restart()
        assert open_dirs(disk, "/var/lib/ottla", prefix="other")[1] == first


@pytest.mark.parametrize("content", [b"0\n1\nt 0 7\n", b"torn", None])
def test_a_recovery_point_is_not_known_where_there_is_no_checkpoint_that_reads(content: bytes | None) -> None:
    """As in a folder that Kafka left: a log of which a new folder says nothing is not on the disk at all."""
    disk = SimulatedDisk()
    dirs, _ = open_dirs(disk, "/data")
    dirs.begin()
    assert dirs.all[0].recovery_point_of("t", 0) == 0
    dirs.release()
    path = "/data/recovery-point-offset-checkpoint"
    if content is None:
        disk.unlink(path)
    else:
        disk.write_bytes(path, content)
    dirs, _ = open_dirs(disk, "/data")
    dirs.begin()
    is_known = content is not None and content != b"torn"
    assert dirs.all[0].recovery_point_of("t", 0) == (7 if is_known else None)
    assert dirs.all[0].recovery_point_of("t", 1) == (0 if is_known else None)


def test_the_space_is_the_disks() -> None:
    disk = SimulatedDisk()
    disk.capacity = 1_000
    disk.write_bytes("/data/file", bytes(300))
    assert DataDirs(disk.mount(), ["/data"], None).metadata.space() == (1_000, 700)


def test_folders_have_one_cluster_and_ids_of_their_own() -> None:
    disk = SimulatedDisk(folders=())
    dirs, cluster_id = open_dirs(disk, "/a", "/b", metadata="/m")
    assert [folder.path for folder in dirs.online] == ["/a", "/b"]
    found = [read_meta_properties(disk, path) for path in ("/a", "/b", "/m")]
    assert all(meta is not None and (meta.cluster_id, meta.node_id) == (cluster_id, 1) for meta in found)
    assert len({meta.directory_id for meta in found if meta is not None}) == 3
    dirs.release()
    # As Kafka does, an id is made for a folder without one.
    write_meta_properties(disk, "/b", MetaProperties(cluster_id, 1))
    dirs, _ = open_dirs(disk, "/a", "/b", metadata="/m", prefix="new")
    assert dirs.online[1].directory_id == "new0"
    meta = read_meta_properties(disk, "/b")
    assert meta is not None
    assert meta.directory_id == "new0"


def test_a_first_start_that_is_cut_off_is_no_hindrance_to_the_next() -> None:
    cut = 0
    for step in range(100):
        disk = SimulatedDisk(step, folders=())
        disk.power_loss_at = step
        try:
            open_dirs(disk, "/a", "/b")
        except PowerLossError:
            cut += 1
        disk.lose_power()
        disk.restart()
        dirs, cluster_id = open_dirs(disk, "/a", "/b", prefix="again")
        assert len(dirs.online) == 2
        for path in ("/a", "/b"):
            meta = read_meta_properties(disk, path)
            assert meta is not None
            assert meta.cluster_id == cluster_id
    assert 10 < cut < 100


def test_folders_that_a_killed_broker_made_outlive_a_power_cut() -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed, folders=())
        open_dirs(disk, "/a", "/b")[0].release()
        disk.make_dirs("/b/topic-0")  # and killed before it was synced
        dirs, _ = open_dirs(disk, "/a", "/b")
        dirs.begin()
        disk.lose_power()
        disk.restart()
        assert disk.exists("/b/topic-0")


def test_folders_of_other_brokers_are_refused() -> None:
    disk = SimulatedDisk(folders=("/a", "/b", "/c", "/d"))
    write_meta_properties(disk, "/a", MetaProperties("mine", 1, "A"))
    write_meta_properties(disk, "/b", MetaProperties("another", 1, "B"))
    write_meta_properties(disk, "/c", MetaProperties("mine", 7, "C"))
    write_meta_properties(disk, "/d", MetaProperties("mine", 1, "A"))
    for path, words in (
        ("/b", "/b holds the data of cluster another, but /a that of cluster mine"),
        ("/c", "/c holds the data of node 7, but this broker is node 1"),
        ("/d", "/d and /a have the same directory.id A"),
    ):
        dirs = DataDirs(disk.mount(), ["/a", path], None)
        with pytest.raises(DataDirError, match=words):
            opened(dirs)
        dirs.release()


def test_the_metadata_must_be_where_it_is_looked_for() -> None:
    disk = SimulatedDisk(folders=())
    open_dirs(disk, "/a", "/b")[0].release()
    disk.write_bytes(f"/a/{METADATA}", b"")
    for paths, metadata, words in (
        (["/b", "/a"], None, f"{METADATA} is in /a, not in /b: put that folder first in log.dirs"),
        (["/new", "/a"], None, "or set metadata.log.dir=/a"),
        (["/a", "/b"], "/new", "or set metadata.log.dir=/a"),
        # As when the first disk is not mounted: all that is in the second would belong to nobody.
        (["/new", "/b"], None, f"/new is new, but /b holds data already: {METADATA} is missing"),
    ):
        dirs = DataDirs(disk.mount(), paths, metadata)
        with pytest.raises(DataDirError) as refused:
            opened(dirs)
        assert words in str(refused.value)
        dirs.release()
        assert not disk.exists("/new/meta.properties")
    open_dirs(disk, "/b", "/a", metadata="/a")[0].release()
    disk.write_bytes(f"/b/{METADATA}", b"")
    with pytest.raises(DataDirError, match=f"there is a {METADATA} in /a and one in /b"):
        open_dirs(disk, "/a", "/b")


def test_a_folder_that_cannot_be_used_is_left_out() -> None:
    for damage in ("file", "meta"):
        disk = SimulatedDisk(folders=())
        open_dirs(disk, "/a", "/b")[0].release()
        if damage == "file":
            disk.rename("/b", "/elsewhere")
            disk.write_bytes("/b", b"")
        else:
            disk.write_bytes("/b/meta.properties", b"this is none of ours")
        dirs, _ = open_dirs(disk, "/a", "/b")
        assert [folder.path for folder in dirs.online] == ["/a"]
        assert dirs.missing()[0] == "/b"
        dirs.release()
        # Not that of the metadata, and not all of those with logs.
        with pytest.raises(Exception, match="/b"):
            open_dirs(disk, "/b", "/a")
    disk = SimulatedDisk(folders=())
    disk.write_bytes("/b", b"")
    with pytest.raises(DataDirError, match="none of the data folders can be used: /b"):
        open_dirs(disk, "/b", metadata="/m")


def test_a_log_that_may_be_in_a_folder_that_is_not_here_is_not_known_to_be_nowhere() -> None:
    disk = SimulatedDisk(folders=())
    dirs, _ = open_dirs(disk, "/a", "/b")
    a, b = (folder.directory_id for folder in dirs.online)
    assert dirs.expect(()) == (a, b)
    assert not dirs.missing()
    dirs.release()
    dirs, _ = open_dirs(disk, "/a")
    assert dirs.sole is not None
    assert dirs.expect((a, b)) == (b, a)
    assert dirs.sole is None
    assert dirs.missing() == [f"the one with directory.id {b}"]
    assert dirs.expect_no_more() == (a,)
    assert not dirs.missing()
    disk.unlink("/a/meta.properties")  # the disk was taken away
    assert dirs.missing() == ["/a"]


def test_new_logs_go_where_the_fewest_are() -> None:
    dirs, _ = open_dirs(SimulatedDisk(folders=()), "/a", "/b", "/c")

    def order(*cordoned: str) -> str:
        return "".join(folder.path for folder in dirs.for_new(cordoned))

    assert order() == "/a/b/c"
    dirs.all[0].hosted_count = 2
    dirs.all[2].hosted_count = 1
    assert order() == "/b/c/a"
    assert order("/b") == "/c/a"
    assert order("/a", "/b", "/c") == order("*") == "/a"
    assert [dirs.are_all(each) for each in ((), ("/a", "/b"), ("/a", "/b", "/c"), ("*",))] == [
        False,
        False,
        True,
        True,
    ]
    dirs.all[2].fail(OSError("broken"))
    assert dirs.are_all(("/a", "/b"))


def test_a_mark_of_a_clean_stop_gets_another_epoch_where_there_is_one() -> None:
    disk = SimulatedDisk(folders=())
    open_dirs(disk, "/a", "/b")[0].release()
    write_clean_shutdown(disk, "/b", 5)
    dirs, _ = open_dirs(disk, "/a", "/b")
    dirs.carry_over(17)
    dirs.begin()
    assert [(each.clean, each.clean_epoch) for each in dirs.online] == [(False, None), (True, 17)]
