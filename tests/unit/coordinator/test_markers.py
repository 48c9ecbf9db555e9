"""Markers in a partition with followers: what is answered has to hold for whoever leads next."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.unit.replica.neighbours import NOW_MS, Neighbours
from tests.unit.storage.logs import open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import broker_config
from ottla.coordination.runtime import Producer
from ottla.coordination.transactions.markers import TxnMarker
from ottla.coordinator.markers import LocalMarkers
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.markers import EndMarker
from ottla.replica.partition import Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic


def partition(min_in_sync: int = 1, isr: tuple[int, ...] = (1, 2)) -> Partition:
    made = Partition(
        "t",
        UUID(int=9),
        0,
        open_at(SimulatedDisk(), small_segments()),
        PartitionState(replicas=(1, 2), isr=isr, leader=1),
        validation_options(small_segments(), broker_config()),
        lambda _log: None,
        Neighbours(b2=7),
        TopicTraffic(),
    )
    config = small_segments()._replace(min_insync_replicas=min_in_sync)
    made.reconfigure(config, validation_options(config, broker_config()))
    return made


def marker(epoch: int) -> TxnMarker:
    return TxnMarker(Producer(5, epoch), True, [("t", 0)], coordinator_epoch=0, transaction_version=0)


async def test_what_a_partition_is_past_is_said_once_its_followers_are_too() -> None:
    led = partition()
    unused: Any = SimpleNamespace()
    config: Any = SimpleNamespace(value=broker_config())
    markers = LocalMarkers(lambda _topic, _index: led, unused, unused, config, Clock())
    written: Any = markers.write_markers([marker(3)])
    repeated: Any = markers.write_markers([marker(2)])
    answers = [asyncio.ensure_future(each) for each in (written, repeated)]
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in answers)
    follower = led.follower(2, 7, is_fenced=True)
    led.fetched(follower, 1, 0, 7, NOW_MS, None)
    assert [await each for each in answers] == [
        [{("t", 0): ErrorCode.none}],
        [{("t", 0): ErrorCode.invalid_producer_epoch}],
    ]
    assert led.log.log_end_offset == 1
    assert markers.write_markers([marker(2)]) == [{("t", 0): ErrorCode.invalid_producer_epoch}]


async def test_what_a_repeated_marker_relies_on_may_be_lost_with_its_leader() -> None:
    led = partition()
    unused: Any = SimpleNamespace()
    config: Any = SimpleNamespace(value=broker_config())
    markers = LocalMarkers(lambda _topic, _index: led, unused, unused, config, Clock())
    led.append_marker(EndMarker(5, 3, True, 0, 0), NOW_MS)
    repeated: Any = asyncio.ensure_future(markers.write_markers([marker(2)]))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    led.give_up()
    assert await repeated == [{("t", 0): ErrorCode.not_leader_or_follower}]


async def test_a_coordinator_writes_only_where_enough_replicas_are_in_sync() -> None:
    led = partition(min_in_sync=2, isr=(1,))
    for append in (
        lambda: led.append_own(EndMarker(5, 3, True, 0, 0).encode(NOW_MS), NOW_MS),
        lambda: led.append_marker(EndMarker(5, 3, True, 0, 0), NOW_MS),
    ):
        with pytest.raises(KafkaError) as refused:
            append()
        assert refused.value.code is ErrorCode.not_enough_replicas
    assert led.log.log_end_offset == 0
