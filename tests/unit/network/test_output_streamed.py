"""Answers sent from files: in order, complete, whatever the client takes at a time, and in little memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.raw_client import METADATA, connect
from tests.sample_requests import FETCH_DEFAULTS

from ottla.network import output
from ottla.network.output import StreamedOutput, in_memory
from ottla.records.codec import Record, encode_batch
from ottla.storage.errors import LogStorageError
from ottla.storage.fs import FileSlice, OsFileSystem
from ottla.storage.local.reader import LogRead
from ottla.testing import run_broker_async

MIB = 1 << 20
PRODUCE, FETCH, CREATE_TOPICS = 0, 1, 19


class Peer:
    """Both ends of a connection, and what the sender told its owner."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.finished = 0
        self.failures: list[OSError] = []
        self.reader = ThreadPoolExecutor(1)
        self.output = StreamedOutput(self.ours.fileno(), self._on_finished, self.failures.append, self.reader)

    def _on_finished(self) -> None:
        self.finished += 1

    async def read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts, left = [], size
        while left:
            part = await asyncio.wait_for(loop.sock_recv(self.theirs, min(left, 300_000)), 10)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


@pytest.fixture
async def peer() -> Iterator[Peer]:  # type: ignore[misc]
    peer = Peer()
    yield peer
    peer.output.close()
    peer.ours.close()
    peer.theirs.close()
    peer.reader.shutdown()


def file_slice(path: Path, data: bytes, start: int = 0, size: int | None = None) -> FileSlice:
    path.write_bytes(data)
    found = OsFileSystem().open(str(path)).slice(len(data) - start if size is None else size, start)
    assert isinstance(found, FileSlice)
    return found


async def wait_for_failure(peer: Peer) -> None:
    for _ in range(100):
        if peer.failures:
            break
        await asyncio.sleep(0.01)


async def test_small_answers_go_out_at_once(peer: Peer, tmp_path: Path) -> None:
    peer.output.send((b"head", file_slice(tmp_path / "f", b"0123456789", 2, 5), b"", b"tail"))
    assert not peer.output.is_busy
    assert peer.output.unsent_bytes == 0
    assert peer.finished == 0  # there was nothing to wait for
    assert await peer.read(13) == b"head23456tail"


async def test_what_does_not_fit_follows_in_order(peer: Peer, tmp_path: Path) -> None:
    first, second = os.urandom(5 * MIB + 17), os.urandom(3 * MIB + 1)
    peer.output.send((b"one", file_slice(tmp_path / "1", first), memoryview(b"two")))
    peer.output.send((file_slice(tmp_path / "2", second), b"end"))
    assert peer.output.is_busy
    expected = b"one" + first + b"two" + second + b"end"
    assert 0 < peer.output.unsent_bytes <= len(expected)
    assert await peer.read(len(expected)) == expected
    assert not peer.output.is_busy
    assert peer.finished == 1
    peer.output.send((b"again",))
    assert await peer.read(5) == b"again"


async def test_an_answer_may_be_of_very_many_pieces(peer: Peer, tmp_path: Path) -> None:
    """A fetch of thousands of partitions, most of them with nothing new."""
    records = file_slice(tmp_path / "f", b"records")
    peer.output.send([*[b"head"] * 3000, records, *[memoryview(b"tail")] * 3000, records])
    expected = b"head" * 3000 + b"records" + b"tail" * 3000 + b"records"
    assert await peer.read(len(expected)) == expected
    assert not peer.failures


async def test_a_reader_that_takes_all_lets_others_have_their_turn(peer: Peer, tmp_path: Path) -> None:
    data = bytes(64 * MIB)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    peer.output.send((file_slice(tmp_path / "f", data),))
    assert len(await peer.read(len(data))) == len(data)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert turns >= len(data) // output.TURN_BYTES


def drop_from_page_cache(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def test_what_is_not_in_the_page_cache_is_brought_there(peer: Peer, tmp_path: Path) -> None:
    data = os.urandom(5 * MIB + 17)
    records = file_slice(tmp_path / "f", data, 5000)
    assert records.is_at_hand(0, len(records))
    drop_from_page_cache(tmp_path / "f")
    if records.is_at_hand(0, len(records)):
        pytest.skip("the file system cannot tell, or keeps everything")
    records.load(MIB, MIB)
    assert records.is_at_hand(MIB, MIB)
    drop_from_page_cache(tmp_path / "f")
    peer.output.send((b"head", records, b"tail"))
    assert peer.output.is_busy
    expected = b"head" + data[5000:] + b"tail"
    assert await peer.read(len(expected)) == expected
    assert peer.finished == 1
    assert (peer.output.is_busy, peer.failures) == (False, [])


class Elsewhere:
    """A source that is no file: each part has to be loaded before it can be sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._loaded = 0
        self.loads: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return self._data

    def is_at_hand(self, start: int, size: int) -> bool:
        return start + size <= self._loaded

    def load(self, start: int, size: int) -> None:
        self.loads.append((start, size))
        self._loaded = start + size

    def send_to(self, descriptor: int, start: int, size: int) -> int:
        assert start + size <= self._loaded, "sent before it was loaded"
        return os.write(descriptor, self._data[start : start + size])


async def test_pieces_come_from_any_source(peer: Peer, tmp_path: Path) -> None:
    data = os.urandom(5 * MIB)
    source = Elsewhere(data)
    records = file_slice(tmp_path / "f", data)
    pieces = (b"head", source, memoryview(b"between"), records, b"tail")
    expected = b"head" + data + b"between" + data + b"tail"
    assert b"".join(in_memory(pieces)) == expected
    peer.output.send(pieces)
    assert await peer.read(len(expected)) == expected
    assert source.loads == [(0, 2 * MIB), (2 * MIB, 2 * MIB), (4 * MIB, MIB)]
    assert peer.failures == []


class SlowDisk:
    """Has nothing in memory, and gives it when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_read = threading.Event()
        self.reads: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.error: OSError | None = None
        monkeypatch.setattr(FileSlice, "is_at_hand", lambda _slice, _start, _size: False)
        monkeypatch.setattr(FileSlice, "load", lambda _slice, start, size: self._load(start, size))

    def _load(self, start: int, size: int) -> None:
        self.threads.add(threading.get_ident())
        self.may_read.wait(10)
        self.reads.append((start, size))
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, OSError("bad sector")], ids=["read", "failed"])
async def test_nobody_else_waits_for_the_disk(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    disk = SlowDisk(monkeypatch)
    disk.error = error  # the sending finds out for itself
    data = os.urandom(3 * MIB)
    peer.output.send((b"head", file_slice(tmp_path / "f", data)))
    assert await peer.read(4) == b"head"
    for _ in range(10):
        await asyncio.sleep(0)  # the loop goes on
    peer.output.send((b"tail",))
    assert peer.output.unsent_bytes == len(data) + 4
    assert not disk.reads
    disk.may_read.set()
    assert await peer.read(len(data) + 4) == data + b"tail"
    assert disk.reads == [(0, output.TURN_BYTES), (output.TURN_BYTES, MIB)]
    assert threading.get_ident() not in disk.threads
    assert (peer.finished, peer.output.is_busy, peer.failures) == (1, False, [])


async def test_closing_while_the_disk_is_waited_for(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    peer.output.send((file_slice(tmp_path / "f", bytes(3 * MIB)),))
    peer.output.close()
    disk.may_read.set()
    while not disk.reads:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    assert (len(disk.reads), peer.finished, peer.failures) == (1, 0, [])
    assert not peer.output.is_busy


async def test_what_a_closed_connection_wanted_is_not_read(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    records = file_slice(tmp_path / "f", bytes(MIB))
    peer.reader.submit(records.load, 7, 7)  # of somebody else: it keeps the only thread
    peer.output.send((records,))
    peer.output.close()
    await asyncio.sleep(0)  # the loop passes the cancellation on at its next turn
    disk.may_read.set()
    await asyncio.get_running_loop().run_in_executor(peer.reader, records.load, 8, 8)
    assert disk.reads == [(7, 7), (8, 8)]
    assert (peer.finished, peer.failures) == (0, [])


async def test_a_file_that_ends_early_fails(peer: Peer, tmp_path: Path) -> None:
    peer.output.send((b"head", file_slice(tmp_path / "f", b"x" * 100, 0, 200)))
    assert await peer.read(104) == b"head" + b"x" * 100
    await wait_for_failure(peer)
    assert [failure.strerror for failure in peer.failures] == [
        "the file ends before the records that were found in it"
    ]
    assert not peer.output.is_busy


async def test_a_client_that_is_gone_fails_once(peer: Peer, tmp_path: Path) -> None:
    peer.output.send((file_slice(tmp_path / "f", bytes(20 * MIB)),))
    peer.theirs.close()
    await wait_for_failure(peer)
    assert len(peer.failures) == 1
    assert isinstance(peer.failures[0], ConnectionError)
    assert (peer.output.is_busy, peer.output.unsent_bytes) == (False, 0)


async def test_closing_drops_what_is_left(peer: Peer, tmp_path: Path) -> None:
    peer.output.send((file_slice(tmp_path / "f", bytes(20 * MIB)),))
    peer.output.close()
    assert peer.output.unsent_bytes == 0
    peer.ours.close()
    assert len(await peer.read(20 * MIB)) < 20 * MIB
    assert not peer.failures


def test_a_slice_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    file = OsFileSystem(max_open_files=1).open(str(path))
    records = file.slice(4, 3)
    file.close()
    path.unlink()
    assert bytes(records) == b"3456"
    assert in_memory([b"a", records, memoryview(b"b")]) == [b"a", b"3456", b"b"]


def test_a_slice_of_a_file_that_was_cut_is_not_read(tmp_path: Path) -> None:
    cut = LogRead(file_slice(tmp_path / "f", b"x" * 100, 0, 200), 7, 0)
    with pytest.raises(LogStorageError, match="segment 7: the file ends before"):
        cut.to_bytes()


def test_a_descriptor_is_given_back_with_the_last_slice(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    before = descriptors()
    file = OsFileSystem().open(str(path))
    slices = [file.slice(4, 3), file.slice(1, 1)]
    file.close()
    assert descriptors() == before + 1
    slices.pop()
    assert bytes(slices[0]) == b"3456"
    slices.clear()
    assert descriptors() == before


async def test_a_fetch_of_many_partitions_of_which_one_has_records() -> None:
    batch = encode_batch([Record(0, 1_700_000_000_000, None, os.urandom(100_000))])
    partitions = 1200
    async with run_broker_async() as broker, connect(broker.host, broker.port) as client:
        topics = [{"name": "t", "num_partitions": partitions, "replication_factor": 1}]
        created = await client.call(CREATE_TOPICS, 5, {"topics": topics, "timeout_ms": 30_000})
        assert created["topics"][0]["error_code"] == 0
        data = [{"name": "t", "partition_data": [{"index": 600, "records": batch}]}]
        answer = await client.call(PRODUCE, 9, {"acks": 1, "timeout_ms": 9000, "topic_data": data})
        assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
        asked = [
            {"partition": index, "fetch_offset": 0, "partition_max_bytes": MIB} for index in range(partitions)
        ]
        request = {**FETCH_DEFAULTS, "max_bytes": MIB, "topics": [{"topic": "t", "partitions": asked}]}
        fetched = await client.call(FETCH, 12, request)
        found = {each["partition_index"]: each["records"] for each in fetched["responses"][0]["partitions"]}
    assert len(found) == partitions
    assert found.pop(600)[21:] == batch[21:]
    assert not any(found.values())


async def test_pipelined_fetches_and_small_requests_are_answered_in_order() -> None:
    """A client that asks on and on, and reads only then, gets everything whole and in order."""
    batch = encode_batch([Record(0, 1_700_000_000_000, None, os.urandom(900_000))])
    asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 100 * MIB}
    async with run_broker_async() as broker, connect(broker.host, broker.port) as client:
        await client.call(METADATA, 9, {"topics": [{"name": "t"}], "allow_auto_topic_creation": True})
        while (await client.call(METADATA, 9, {"topics": [{"name": "t"}]}))["topics"][0]["error_code"]:
            await asyncio.sleep(0.01)
        for _ in range(12):
            data = [{"name": "t", "partition_data": [{"index": 0, "records": batch}]}]
            answer = await client.call(PRODUCE, 9, {"acks": 1, "timeout_ms": 9000, "topic_data": data})
            assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
        request = {
            **FETCH_DEFAULTS,
            "max_bytes": 100 * MIB,
            "topics": [{"topic": "t", "partitions": [asked]}],
        }
        order = [client.send(key, version, body) for key, version, body in (
            (METADATA, 9, {"topics": []}), (FETCH, 11, request), (METADATA, 9, {"topics": []}),
            (FETCH, 11, request), (FETCH, 11, request), (METADATA, 9, {"topics": []}),
        )]  # fmt: skip
        await client.writer.drain()
        await asyncio.sleep(0.3)
        sizes = []
        for correlation_id in order:
            frame = await client.receive_frame()
            assert int.from_bytes(frame[:4], "big") == correlation_id
            sizes.append(len(frame))
            if len(frame) > MIB:
                assert frame.count(batch[21:]) == 12
        assert [size > 12 * 900_000 for size in sizes] == [False, True, False, True, True, False]
