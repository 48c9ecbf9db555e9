"""What a data folder says of a broker that was killed."""

from __future__ import annotations

import pytest
from tests.unit.replica.test_data_dir import METADATA, ids
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.replica.data_dirs import DataDirs

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


def test_a_stop_that_left_a_log_behind_is_not_taken_for_a_kill() -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    dirs.close(Hosts(), (), 7)
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


def test_a_disk_that_takes_no_note_is_said(caplog: pytest.LogCaptureFixture) -> None:
    disk = SimulatedDisk()
    dirs = begin(disk, "/data")
    dirs.runs.note(7)
    disk.capacity = 0
    dirs.runs.note(8)
    assert "killed, it will count as unclean" in caplog.text
    disk.kill()
    assert begin(disk, "/data").runs.intact_epoch == 7  # which is not the cluster's by now
