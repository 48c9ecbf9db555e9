"""The data folder on a disk that forgets."""

from __future__ import annotations

import pytest
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.replica.data_dir import DataDir
from ottla.storage.checkpoints import DirectoryLockedError


def test_a_folder_keeps_its_identity_from_the_first_start_on() -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed, folders=())
        fs = disk.mount()
        assert DataDir(fs, "/var/lib/ottla").open(1, "first", "directory") == "first"
        with pytest.raises(DirectoryLockedError):
            DataDir(fs, "/var/lib/ottla").open(1, "first", "directory")
        disk.lose_power()
        disk.restart()
        assert DataDir(disk.mount(), "/var/lib/ottla").open(1, "second", "directory") == "first"


def test_the_space_is_the_disks() -> None:
    disk = SimulatedDisk()
    disk.capacity = 1_000
    disk.write_bytes("/data/file", bytes(300))
    assert DataDir(disk.mount(), "/data").space() == (1_000, 700)
