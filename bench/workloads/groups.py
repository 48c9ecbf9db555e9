"""Group membership: how long members stand without partitions."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import multiprocessing
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench import wire
from bench.workloads.model import LIBRDKAFKA, RAW, Context, Measure, Prepare, Row, Workload, each_round

_SPAWN = multiprocessing.get_context("spawn")
_MEMBERS, _PARTITIONS, _GROUPS = 20, 40, 500
_TIMEOUT_S = 90
_COORDINATOR_NOT_READY = {14, 15, 16}  # loading, not available, not coordinator
_numbers = itertools.count()


class _Members:
    """Consumers of one group in this process; how many partitions each has is counted."""

    def __init__(self, address: str, topic: str, group: str, count: int, protocol: str) -> None:
        self.held: dict[int, int] = {}
        self._consumers = [self._join(index, address, topic, group, protocol) for index in range(count)]

    def _join(self, index: int, address: str, topic: str, group: str, protocol: str) -> Consumer:
        settings: dict[str, Any] = {
            "bootstrap.servers": address,
            "group.id": group,
            "group.protocol": protocol,
        }
        if protocol == "classic":
            settings |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
        consumer = Consumer(settings)

        def assigned(member: Consumer, partitions: list[TopicPartition]) -> None:
            if protocol == "classic":
                member.assign(partitions)
                self.held[index] = len(partitions)
            else:
                member.incremental_assign(partitions)
                self.held[index] = self.held.get(index, 0) + len(partitions)

        def revoked(member: Consumer, partitions: list[TopicPartition]) -> None:
            if protocol == "classic":
                member.unassign()
                self.held[index] = 0
            else:
                member.incremental_unassign(partitions)
                self.held[index] = self.held.get(index, 0) - len(partitions)

        consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
        return consumer

    def poll_until(self, settled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not settled():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the members hold {sorted(self.held.values())} partitions")
            for consumer in self._consumers:
                consumer.poll(0)
            time.sleep(0.002)

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()


def _one_member(address: str, topic: str, group: str, protocol: str, held: Any, go: Any) -> None:
    go.wait(60)
    member = _Members(address, topic, group, 1, protocol)

    def counted() -> bool:
        held.value = sum(member.held.values())
        return False

    member.poll_until(counted)


@contextlib.contextmanager
def _doomed(address: str, topic: str, group: str, protocol: str) -> Iterator[tuple[Any, Any, Any]]:
    held, go = _SPAWN.Value("i", 0), _SPAWN.Barrier(2)
    process = _SPAWN.Process(
        target=_one_member, args=(address, topic, group, protocol, held, go), daemon=True
    )
    process.start()
    try:
        yield process, held, go
    finally:
        process.kill()
        process.join(10)


def _rebalance(context: Context, protocol: str, *, death: bool = False) -> Row:
    """20 members join at once; then, where asked, one dies, which its group learns when its session ends."""
    address, group = context.broker.address, f"bench-{protocol}-{next(_numbers)}"
    each = _PARTITIONS // _MEMBERS
    with context.topic(_PARTITIONS) as topic, _doomed(address, topic, group, protocol) as (process, held, go):
        go.wait(60)  # until the other process has loaded its modules
        began = time.perf_counter()
        members = _Members(address, topic, group, _MEMBERS - 1, protocol)
        mine = members.held

        def all_have_theirs() -> bool:
            return len(mine) == _MEMBERS - 1 and set(mine.values()) == {each} and held.value == each

        def rest_has_all() -> bool:
            return sum(mine.values()) == _PARTITIONS and min(mine.values()) >= each

        try:
            members.poll_until(all_have_theirs)
            joined_s = time.perf_counter() - began
            if not death:
                return {"rebalance s": joined_s}
            began = time.perf_counter()
            process.kill()
            members.poll_until(rest_has_all)
            return {"rebalance s": joined_s, "rebalance after a death s": time.perf_counter() - began}
        finally:
            members.close()


def _many_groups(context: Context) -> Row:
    """Each group has one member on a connection of its own: JoinGroup and SyncGroup until all have synced."""
    prefix = f"bench-many-{next(_numbers)}"
    count = context.scaled(_GROUPS) if context.scale < 1 else _GROUPS
    with context.topic(1) as topic, contextlib.ExitStack() as stack:
        _find_coordinator(context, f"{prefix}-0")
        connections = [stack.enter_context(wire.Connection(context.broker.address)) for _ in range(count)]
        cpu_s, began = context.broker.cpu_s(), time.perf_counter()
        for index, connection in enumerate(connections):
            connection.send(wire.JOIN_GROUP, 2, wire.join_request(f"{prefix}-{index}", "", topic))
        for index, connection in enumerate(connections):
            _sync(connection, f"{prefix}-{index}", topic)
        for connection in connections:
            if error := connection.receive().one("h"):
                raise wire.RefusedError(f"SyncGroup: error {error}")
        return {
            "rebalance s": time.perf_counter() - began,
            "CPU ms/group": (context.broker.cpu_s() - cpu_s) / count * 1000,
        }


def _without_delay(measure: Callable[[Context], Row]) -> Prepare:
    """On a broker of its own that does not wait for more members of a new group; warmed by 500 groups."""

    @contextlib.contextmanager
    def prepare(context: Context) -> Iterator[Measure]:
        with context.start(settings=("group.initial.rebalance.delay.ms=0",)) as broker:
            own = dataclasses.replace(context, broker=broker)
            _many_groups(own)
            yield lambda: measure(own)

    return prepare


def _find_coordinator(context: Context, group: str) -> None:
    """The first answer makes the offsets topic, which takes a moment on either broker."""
    deadline = time.monotonic() + _TIMEOUT_S
    with wire.Connection(context.broker.address) as connection:
        while error := connection.ask(10, 0, wire.string(group)).one("h"):
            if time.monotonic() > deadline:
                raise wire.RefusedError(f"FindCoordinator: error {error}")
            time.sleep(0.05)


def _sync(connection: wire.Connection, group: str, topic: str) -> None:
    """Read the JoinGroup answer and send SyncGroup v0 with an empty assignment for the only member."""
    deadline = time.monotonic() + _TIMEOUT_S
    reader = connection.receive()
    _, error, generation = reader.take("ihi")
    while error:  # a new offsets topic is not led or loaded at once; the warming turn sees this
        if error not in _COORDINATOR_NOT_READY or time.monotonic() > deadline:
            raise wire.RefusedError(f"JoinGroup: error {error}")
        time.sleep(0.02)
        reader = connection.ask(wire.JOIN_GROUP, 2, wire.join_request(group, "", topic))
        _, error, generation = reader.take("ihi")
    reader.sized()
    reader.sized()
    member_id = wire.string(reader.sized().decode())
    assignment = struct.pack(">i", 1) + member_id + struct.pack(">i", 0)
    body = wire.string(group) + struct.pack(">i", generation) + member_id + assignment
    connection.send(wire.SYNC_GROUP, 0, body)


def _workload(name: str, client: str, seconds: float, prepare: Prepare) -> Workload:
    return Workload(name, "groups", client, prepare, seconds)


WORKLOADS = (
    _workload(
        "20 members, classic",
        LIBRDKAFKA,
        27,
        each_round(lambda context: _rebalance(context, "classic", death=True)),
    ),
    _workload(
        "20 members, consumer protocol",
        LIBRDKAFKA,
        16,
        each_round(lambda context: _rebalance(context, "consumer")),
    ),
    _workload("500 groups of one", RAW, 10, each_round(_many_groups)),
    _workload(
        "20 members, classic, no initial delay",
        LIBRDKAFKA,
        9,
        _without_delay(lambda context: _rebalance(context, "classic")),
    ),
    _workload("500 groups of one, no initial delay", RAW, 5, _without_delay(_many_groups)),
)
