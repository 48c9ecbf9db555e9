"""A whole broker on the simulated disk, through power losses: what was acknowledged durably is there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from tests.raw_client import RawClient, connect
from tests.running_broker import Topic, create_topic
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.broker.host import this_host
from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.protocol.errors import ErrorCode
from ottla.records.batch import iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.store.faulty import FaultyStore
from ottla.store.memory import MemoryStore

SETTINGS = {
    "node.id": "1",
    "listeners": "PLAINTEXT://127.0.0.1:0",
    "log.dirs": "/var/ottla/data",
}


@contextlib.asynccontextmanager
async def life(disk: SimulatedDisk, store: MemoryStore, *, flush: bool) -> AsyncIterator[RawClient]:
    """A broker until the power goes."""
    layers = BrokerLayers(static={**SETTINGS, "ottla.acks.all.flush": str(flush).lower()})
    mounted = disk.mount()
    host = this_host()._replace(
        make_store=lambda _folder, _config: FaultyStore(store), open_fs=lambda _open_files_max: mounted
    )
    broker = Broker(BrokerSettings(broker_config(layers), layers), host)
    await broker.start()
    try:
        async with connect(*next(iter(broker.node.addresses.values()))) as client:
            yield client
    finally:
        disk.lose_power()
        disk.restart()
        with contextlib.suppress(Exception):
            await broker.stop()


def batch(number: int) -> bytes:
    return encode_batch([Record(0, 1_000, b"k", b"%d" % number)])


async def values(topic: Topic) -> dict[int, bytes | None]:
    found: dict[int, bytes | None] = {}
    while True:
        data = (await topic.fetch(len(found), max_wait_ms=0))["records"] or b""
        read = [
            record
            for position, header in iter_headers(data)
            for record in decode_batch(data[position : position + header.size], max_bytes=1 << 20)
        ]
        if not read:
            return found
        found |= {record.offset: record.value for record in read}


async def lost_in_four_lives(seed: int, *, flush: bool) -> set[int]:
    """The offsets of acknowledged records that a life after them did not find."""
    disk = SimulatedDisk(seed, folders=())
    store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
    await store.open()
    async with life(disk, store, flush=flush) as client:
        topic = await create_topic(client, internal_segment_bytes="1000")
    acknowledged: dict[int, bytes | None] = {}
    number = 0
    for _ in range(4):
        async with life(disk, store, flush=flush) as client:
            topic = Topic(client, topic.name, topic.topic_id)
            found = await values(topic)
            lost = {offset for offset, value in acknowledged.items() if found.get(offset) != value}
            if lost:
                break
            acknowledged = found
            for _ in range(20):
                number += 1
                acks = -1 if number % 4 else 1
                answer = await topic.produce(batch(number), acks=acks)
                assert answer["error_code"] == ErrorCode.none
                if acks == -1:
                    acknowledged[answer["base_offset"]] = b"%d" % number
    await store.close()
    return lost


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_durably_outlives_power_losses(seed: int) -> None:
    assert await lost_in_four_lives(seed, flush=True) == set()


async def test_without_a_flush_records_are_lost() -> None:
    assert [seed for seed in range(3) if await lost_in_four_lives(seed, flush=False)], "it could not fail"
