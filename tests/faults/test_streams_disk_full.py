"""An application on a disk that runs full: it ends and says so, and goes on once there is room."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.streams import Store, Streams, StreamsBuilder, Text
from ottla.streams.errors import StateStoreError
from ottla.testing import run_broker

from .full_disk import SmallDisk

RECORDS, SIZE = 3_000, 1_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    small = SmallDisk(folder)
    if (why := small.mount()) is not None:
        pytest.skip(f"no disk of its own: {why}")
    yield folder
    small.unmount()


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("kind", ["lmdb", "rocksdb"])
def test_the_state_goes_on_from_its_last_commit(disk: Path, kind: Literal["lmdb", "rocksdb"]) -> None:
    b = StreamsBuilder(default_key=Text(), default_value=Text())
    b.stream("in").group_by_key().reduce(lambda _, new: new, Store("last", kind=kind, caching=False))
    topology = b.build()
    with (
        run_broker({"group.initial.rebalance.delay.ms": 0}) as broker,
        client.connect(broker.bootstrap_servers) as c,
    ):
        c.admin.topics.create([NewTopic("in", 1, 1)]).check()
        settings: dict[str, object] = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "state.dir": str(disk),
            "commit.interval.ms": 50,
        }
        with Streams(topology, settings) as application:
            application.wait_until_running()
            resize(disk, "1m")
            with c.producer() as producer:
                for number in range(RECORDS):
                    producer.send("in", b"v" * SIZE, key=b"%d" % number)
                producer.flush()
            with pytest.raises(StateStoreError, match=r"0_0/.*last cannot be .*disk is full.*make room"):
                application.wait(60)
        resize(disk, "64m")
        with Streams(topology, settings) as application:
            application.wait_until_running()
            until = time.monotonic() + 60
            while len(list(application.store("last").all())) < RECORDS:
                assert time.monotonic() < until
                time.sleep(0.02)


def test_a_folder_without_room_is_told_at_the_start(disk: Path) -> None:
    b = StreamsBuilder(default_key=Text(), default_value=Text())
    b.stream("in").group_by_key().count(Store("counts"))
    fill(disk / "ballast")
    with pytest.raises(StateStoreError, match="process.json cannot be written: its disk is full .*"):
        Streams(
            b.build(), {"application.id": "app", "bootstrap.servers": "127.0.0.1:1", "state.dir": str(disk)}
        )
