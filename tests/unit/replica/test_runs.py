"""What a data folder says of a broker that was killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from tests.unit.replica.test_data_dir import METADATA, ids
from tests.unit.storage.logs import environment_of, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.metadata.model import PartitionState, Topic
from ottla.replica.data_dirs import DataDirs
from ottla.replica.folders import LogFolders
from ottla.storage.checkpoints import HIGH_WATERMARKS, RECOVERY_POINTS, OffsetCheckpoint

MARK = ".ottla_run"


class Hosts:
    """Partitions: none."""

    offline = ()

    def __iter__(self):
        return iter(())


def begin(disk: SimulatedDisk, *paths: str, boot_id: str = "boot") -> DataDirs:
    dirs = DataDirs(disk.mount(), paths, None, boot_id)
    new_id = ids("id")
    dirs.format(dirs.take(1, METADATA) or new_id(), 1, new_id)
    dirs.begin()
    return dirs


def test_the_logs_of_a_killed_broker_are_intact_until_the_machine_boots_again() -> None:
    disk = SimulatedDisk()
    assert begin(disk, "/data").runs.intact_epoch is None
    for epoch in (7, 9):
        disk.kill()
        dirs = begin(disk, "/data")
        dirs.runs.note(epoch)
        dirs.runs.note(epoch + 1)  # its lease had ended
    for _ in range(2):  # killed as soon as it had begun
        disk.kill()
        assert begin(disk, "/data").runs.intact_epoch == 10
    disk.kill()
    assert begin(disk, "/data", boot_id="another").runs.intact_epoch is None


def test_without_a_boot_id_nothing_is_known_of_a_killed_broker() -> None:
    disk = SimulatedDisk()
    begin(disk, "/data", boot_id="").runs.note(7)
    assert not disk.exists(f"/data/{MARK}")
    disk.write_bytes(f"/data/{MARK}", b'{"version":0,"brokerEpoch":7,"bootId":""}')
    disk.kill()
    assert begin(disk, "/data", boot_id="").runs.intact_epoch is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"brokerEpoch":7}', b'{"brokerEpoch":"7","bootId":"boot"}']
)
def test_a_torn_note_says_nothing(content: bytes) -> None:
    disk = SimulatedDisk()
    disk.write_bytes(f"/data/{MARK}", content)
    assert begin(disk, "/data").runs.intact_epoch is None


def test_all_folders_have_to_say_the_same() -> None:
    disk = SimulatedDisk(folders=("/a", "/b"))
    begin(disk, "/a", "/b").runs.note(7)
    disk.kill()
    begin(disk, "/b").runs.note(8)
    disk.kill()
    dirs = begin(disk, "/a", "/b")
    assert dirs.runs.intact_epoch is None
    dirs.runs.note(9)
    disk.kill()
    assert begin(disk, "/a", "/b").runs.intact_epoch == 9


def test_a_clean_stop_is_known_whatever_boots() -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    dirs.close(Hosts(), dirs.online, 7)
    assert begin(disk, "/data", boot_id="another").runs.intact_epoch == 7


def test_a_start_that_is_broken_off_after_a_clean_stop_leaves_what_that_said() -> None:
    """Its mark is taken before the logs are opened, and the broker has no other epoch yet."""
    disk = SimulatedDisk(folders=("/a", "/b"))
    dirs = begin(disk, "/a", "/b")
    dirs.runs.note(7)
    dirs.close(Hosts(), dirs.online, 7)
    for _ in range(2):
        assert begin(disk, "/a", "/b", boot_id="another").runs.intact_epoch == 7
        disk.kill()
    begin(disk, "/a", "/b", boot_id="another").runs.distrust()  # a log could not be opened
    disk.kill()
    assert begin(disk, "/a", "/b", boot_id="another").runs.intact_epoch is None


def test_a_stop_that_left_a_log_behind_is_not_taken_for_a_kill() -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    dirs.close(Hosts(), (), 7)
    assert begin(disk, "/data").runs.intact_epoch is None


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_stop_that_failed_is_not_taken_for_a_kill(monkeypatch: pytest.MonkeyPatch, is_clean: bool) -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)

    def refuse(*_: object) -> None:
        raise OSError(28, "it is full")

    with monkeypatch.context() as patch:
        patch.setattr(OffsetCheckpoint, "write", refuse)
        with pytest.raises(OSError, match="it is full"):
            dirs.close(Hosts(), dirs.online if is_clean else (), 7)
    assert begin(disk, "/data").runs.intact_epoch is None


def test_after_a_disk_has_refused_something_a_kill_is_like_a_loss_of_power() -> None:
    disk = SimulatedDisk(folders=("/a", "/b"))
    dirs = begin(disk, "/a", "/b")
    dirs.runs.note(7)
    dirs.runs.distrust()
    dirs.runs.note(8)
    assert not disk.exists(f"/a/{MARK}")
    assert not disk.exists(f"/b/{MARK}")
    disk.kill()
    assert begin(disk, "/a", "/b").runs.intact_epoch is None


def test_after_a_disk_has_refused_something_a_stop_in_order_says_nothing_of_the_epoch() -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    dirs.close(Hosts(), dirs.online, 7)
    dirs = begin(disk, "/data")
    assert dirs.runs.intact_epoch == 7
    dirs.runs.distrust()
    assert dirs.runs.intact_epoch == 7, "the logs that could be opened are what they were at the stop"
    dirs.close(Hosts(), dirs.online, 8)
    again = begin(disk, "/data")
    assert again.all[0].clean, "no log has to be read"
    assert again.runs.intact_epoch == -1


def test_a_mark_that_could_not_be_removed_goes_when_the_disk_works_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)

    def refuse(_self: SimulatedDisk, _path: str, *, missing_ok: bool = True) -> None:
        raise OSError(5, "it is gone")

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedDisk, "unlink", refuse)
        dirs.runs.distrust()
    dirs.all[0].fail(OSError(5, "it is gone"))
    assert disk.exists(f"/data/{MARK}")
    dirs.all[0].resume()
    assert not disk.exists(f"/data/{MARK}")
    disk.kill()
    assert begin(disk, "/data").runs.intact_epoch is None


TOPIC = Topic("t", UUID(int=7), (PartitionState((1,), (1,), 1),))


def open_log(disk: SimulatedDisk, dirs: DataDirs, topic: Topic = TOPIC, *, is_new: bool = False) -> None:
    with ThreadPoolExecutor(1) as worker:
        folders = LogFolders(dirs, environment_of(dirs.all[0].fs), uuid4, Clock(), 1, worker)
        folders.open(topic, 0, small_segments(), (), is_new=is_new)


@pytest.mark.parametrize("paths", [("/a",), ("/a", "/b")])
@pytest.mark.parametrize("checkpoint", [HIGH_WATERMARKS, RECOVERY_POINTS])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_log_that_lacks_what_the_checkpoints_name_is_not_intact(
    paths: tuple[str, ...], checkpoint: str, is_there: bool
) -> None:
    disk = SimulatedDisk(folders=paths)
    dirs = begin(disk, *paths)
    dirs.runs.note(7)
    if is_there:
        open_log(disk, dirs, is_new=True)
    for end, expected in ((0, 7), (3, None)):
        OffsetCheckpoint(disk, "/a", checkpoint).write({("t", 0): end})
        disk.kill()
        dirs = begin(disk, *paths)
        assert dirs.runs.intact_epoch == 7
        open_log(disk, dirs)
        assert dirs.runs.intact_epoch == expected


@pytest.mark.parametrize("paths", [("/a",), ("/a", "/b")])
def test_what_the_checkpoints_say_of_an_older_topic_of_the_name_is_none_of_the_new_ones(
    paths: tuple[str, ...],
) -> None:
    disk = SimulatedDisk(folders=paths)
    dirs = begin(disk, *paths)
    dirs.runs.note(7)
    open_log(disk, dirs, is_new=True)
    OffsetCheckpoint(disk, "/a", HIGH_WATERMARKS).write({("t", 0): 3})
    disk.kill()
    dirs = begin(disk, *paths)
    open_log(disk, dirs, Topic("t", UUID(int=8), TOPIC.partitions))
    assert dirs.runs.intact_epoch == 7


def test_a_disk_that_takes_no_note_is_said(caplog: pytest.LogCaptureFixture) -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    disk.capacity = 0
    dirs.runs.note(8)
    assert "killed, it will count as unclean" in caplog.text
    disk.kill()
    assert begin(disk, "/data").runs.intact_epoch == 7  # which is not the cluster's by now
