"""Consumers of `ottla.client` in one group with those of other libraries, on a broker that restarts."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer as ConfluentConsumer

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client
from ottla.client.sync.consumer import Consumer

from .conftest import Broker, ConfluentClients, ExternalBroker

QUICK = {"auto_offset_reset": "earliest", "heartbeat_interval_ms": 200, "fetch_max_wait_ms": 50}
DEADLINE_S = 60


@pytest.fixture
def ours(broker: Broker | ExternalBroker) -> Iterator[Client]:
    with client.connect(broker.bootstrap) as made:
        yield made


@pytest.fixture
def topic(ours: Client) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    ours.admin.topics.create([NewTopic(name, 4)]).check()
    return name


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what


def produce(ours: Client, topic: str, values: range) -> None:
    with ours.producer() as producer:
        for each in values:
            producer.send(topic, b"%d" % each, partition=each % 4)


class Group:
    """One of ours and one of confluent-kafka, polled in turn."""

    def __init__(self, mine: Consumer, theirs: ConfluentConsumer) -> None:
        self.mine = mine
        self.theirs = theirs
        self.got: list[tuple[str, bytes]] = []

    def poll(self) -> None:
        batch = self.mine.poll(timeout_s=0.05)
        if batch is not None:
            self.got += [("mine", value or b"") for value in batch.columns.value]
        message = self.theirs.poll(0.05)
        while message is not None:
            assert message.error() is None, message.error()
            self.got.append(("theirs", message.value()))
            message = self.theirs.poll(0)

    def shares(self) -> tuple[int, int]:
        self.poll()
        return len(self.mine.assignment()), len(self.theirs.assignment())


@pytest.mark.parametrize(
    "kind",
    [
        {"partition_assignment_strategy": "range"},
        {"partition_assignment_strategy": "roundrobin"},
        {"partition_assignment_strategy": "cooperative-sticky"},
        {"group_protocol": "consumer"},
    ],
    ids=["range", "roundrobin", "cooperative-sticky", "KIP-848"],
)
@pytest.mark.parametrize("first", ["mine", "theirs"])
def test_with_confluent_kafka(
    ours: Client, confluent: ConfluentClients, topic: str, kind: dict[str, str], first: str
) -> None:
    """Whoever comes first leads a classic group, so both assignors are asked."""
    group_id = f"g-{uuid.uuid4().hex[:8]}"
    theirs_kind: dict[str, Any] = dict(kind)
    if "group_protocol" not in kind:
        theirs_kind |= {"session_timeout_ms": 6000, "heartbeat_interval_ms": 200}
    mine = ours.consumer(group=group_id, **kind, **QUICK)
    theirs = confluent.consumer(group_id, **theirs_kind)
    group = Group(mine, theirs)
    if first == "mine":
        mine.subscribe([topic])
        until(lambda: mine.poll(timeout_s=0.05) is None and len(mine.assignment()) == 4, "alone")
        theirs.subscribe([topic])
    else:
        theirs.subscribe([topic])
        until(lambda: theirs.poll(0.05) is None and len(theirs.assignment()) == 4, "alone")
        mine.subscribe([topic])
    until(lambda: group.shares() == (2, 2), "shared")

    produce(ours, topic, range(100))
    until(lambda: group.poll() is None and len(group.got) >= 100, "all is read")
    assert sorted(int(value) for _, value in group.got) == list(range(100))
    assert {who for who, _ in group.got} == {"mine", "theirs"}
    mine.commit()
    theirs.commit(asynchronous=False)

    if first == "mine":
        mine.close()
        until(lambda: theirs.poll(0.05) is None and len(theirs.assignment()) == 4, "theirs has all")
    else:
        theirs.close()
        until(lambda: mine.poll(timeout_s=0.05) is None and len(mine.assignment()) == 4, "mine has all")
        assert mine.poll(timeout_s=0.3) is None
        mine.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin"])
async def test_with_aiokafka(broker: Broker | ExternalBroker, strategy: str) -> None:
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

    topic, group_id = f"t-{uuid.uuid4().hex[:8]}", f"g-{uuid.uuid4().hex[:8]}"
    assignor = RangePartitionAssignor if strategy == "range" else RoundRobinPartitionAssignor
    async with client.connect_async(broker.bootstrap) as c:
        (await c.admin.topics.create([NewTopic(topic, 4)])).check()
        mine = c.consumer([topic], group=group_id, partition_assignment_strategy=strategy, **QUICK)
        theirs = AIOKafkaConsumer(
            topic,
            bootstrap_servers=broker.bootstrap,
            group_id=group_id,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[assignor],
            heartbeat_interval_ms=200,
        )
        async with mine:
            starting = asyncio.create_task(theirs.start())
            got: list[bytes] = []
            try:
                async with asyncio.timeout(DEADLINE_S):
                    while not starting.done():  # it waits for us to give up what we have
                        await mine.poll(timeout_s=0.05)
                    await starting
                    while (len(mine.assignment()), len(theirs.assignment())) != (2, 2):
                        await mine.poll(timeout_s=0.05)
                        await theirs.getmany(timeout_ms=50)
                    async with c.producer() as producer:
                        for each in range(100):
                            await producer.send(topic, b"%d" % each, partition=each % 4)
                    while len(got) < 100:
                        batch = await mine.poll(timeout_s=0.05)
                        got += [value or b"" for value in batch.columns.value] if batch is not None else []
                        for messages in (await theirs.getmany(timeout_ms=50)).values():
                            got += [message.value for message in messages]
                assert sorted(map(int, got)) == list(range(100))
            finally:
                await theirs.stop()
            async with asyncio.timeout(DEADLINE_S):
                while len(mine.assignment()) != 4:
                    await mine.poll(timeout_s=0.05)


@pytest.mark.parametrize("kind", [{}, {"group_protocol": "consumer"}], ids=["classic", "KIP-848"])
@pytest.mark.parametrize("how", ["restart", "kill_and_start"])
def test_broker_that_restarts(make_broker: Callable[..., Broker], kind: dict[str, str], how: str) -> None:
    """What was written is read once, whatever happens between; commits hold."""
    own = make_broker()
    with client.connect(own.bootstrap) as ours, ours.consumer(group="g", **kind, **QUICK) as reader:
        with ours.producer() as producer:
            for each in range(50):
                producer.send("t", b"%d" % each)
        reader.subscribe(["t"])
        got: list[int] = []

        def read(count: int) -> None:
            def enough() -> bool:
                batch = reader.poll(timeout_s=0.2)
                if batch is not None:
                    got.extend(int(value or b"") for value in batch.columns.value)
                return len(got) >= count

            until(enough, f"{len(got)} of {count} came")

        read(50)
        reader.commit()
        getattr(own, how)()
        with ours.producer() as producer:
            for each in range(50, 100):
                producer.send("t", b"%d" % each)
        read(100)
        assert got == list(range(100))
        reader.commit()
        assert [each and each.offset for each in reader.committed([("t", 0)]).values()] == [100]
