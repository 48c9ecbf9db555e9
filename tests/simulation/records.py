"""Clients that write records, read them, and make topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from tests.simulation.client import Client, NoAnswerError
from tests.simulation.history import Drained, Log, Seen, Send
from tests.simulation.machine import Machine
from tests.simulation.world import World

from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from ottla.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.batch import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch

EARLIEST = -2
EARLIEST_TIMESTAMP_MS = 1_800_000_000_000
_RETRY_S = 0.2
_MAX_BYTES = 1 << 20


class Topic(NamedTuple):
    """A topic that is there from the beginning to the end."""

    name: str
    partitions: int
    configs: Mapping[str, str] = {}

    def logs(self, machine: Machine) -> list[Log]:
        return [Log(machine.name, self.name, index) for index in range(self.partitions)]


def seen_in(data: PartitionData, position: int) -> tuple[list[Seen], int]:
    """What is in an answer from `position` on, and the position behind that."""
    batches, found = bytes(data.records or b""), []
    for at, header in iter_headers(batches):
        records = decode_batch(batches[at : at + header.size], max_bytes=_MAX_BYTES)
        found += [
            Seen(each.offset, each.key, each.value or b"") for each in records if each.offset >= position
        ]
        position = header.next_offset
    return found, position


async def create_topics(client: Client, topics: Iterable[Topic], replication_factor: int = 1) -> None:
    """Try until all are there."""
    request = CreateTopicsRequest(
        topics=[
            CreatableTopic(
                name=topic.name,
                num_partitions=topic.partitions,
                replication_factor=replication_factor,
                configs=[CreatableTopicConfig(name=key, value=value) for key, value in topic.configs.items()],
            )
            for topic in topics
        ]
    )
    while True:
        try:
            response = await client.call(request, 7, CreateTopicsResponse)
        except NoAnswerError:
            continue
        codes = [result.error_code for result in response.topics]
        if all(code in {ErrorCode.none, ErrorCode.topic_already_exists} for code in codes):
            return
        await asyncio.sleep(_RETRY_S)


class Producer:
    """Writes unique values one batch after another, and notes what became of each."""

    def __init__(
        self, world: World, name: str, machine: Machine, topic: Topic, *, is_idempotent: bool
    ) -> None:
        self.name = name
        self._world = world
        self._random = world.random(name)
        self._machine = machine
        self._client = world.client(name, machine)
        self._logs = topic.logs(machine)
        self._is_idempotent = is_idempotent
        self._has_keys = "compact" in topic.configs.get("cleanup.policy", "")
        self._acks = -1 if is_idempotent or self._random.random() < 0.7 else 1
        self._producer_id, self._epoch = NO_PRODUCER_ID, NO_PRODUCER_EPOCH
        self._sequences: dict[Log, int] = {}
        self._sent = 0

    async def run(self, until: float, pause_s: float) -> None:
        """Write, on and on, with `pause_s` in the mean in between."""
        while self._world.loop.time() < until:
            try:
                if self._is_idempotent:
                    await self._send_surely(until)
                else:
                    await self._send_once()
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            await asyncio.sleep(self._random.expovariate(1 / pause_s))

    # -- plain: each batch once

    async def _send_once(self) -> None:
        batch = self._next_batch()
        answered = await self._client.call(self._request([batch]), 12, ProduceResponse)
        [result] = _results(answered)
        self._note(batch, result)

    # -- idempotent: several batches under way, each again until there is an answer

    async def _send_surely(self, until: float) -> None:
        if self._producer_id == NO_PRODUCER_ID:
            request = InitProducerIdRequest(transaction_timeout_ms=1000)
            given = await self._client.call(request, 4, InitProducerIdResponse)
            if given.error_code:
                return
            self._producer_id, self._epoch = given.producer_id, given.producer_epoch
            self._sequences.clear()
        outstanding = [self._next_batch() for _ in range(self._random.randrange(1, 4))]
        while outstanding and self._producer_id != NO_PRODUCER_ID and self._world.loop.time() < until + 30:
            try:
                outstanding = await self._send_all(outstanding)
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            if outstanding:
                await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))

    async def _send_all(self, batches: Sequence[_Batch]) -> list[_Batch]:
        """Send them all before the first answer; returns those to be sent again."""
        client = self._client
        await client.connect()
        for batch in batches:
            batch.attempts += 1
        answers = [client.send(self._request([batch]), 12) for batch in batches]
        left: list[_Batch] = []
        for batch, answer in zip(batches, answers, strict=True):
            try:
                [result] = _results(await client.receive(answer, 12, ProduceResponse))
            except NoAnswerError:
                left.append(batch)
                continue
            if result.error_code == ErrorCode.out_of_order_sequence_number and not any(
                each.log == batch.log for each in left
            ):
                self._forgotten(batch)
                return []
            if not self._note(batch, result):
                left.append(batch)
        return left

    def _forgotten(self, batch: _Batch) -> None:
        """The broker does not know the batches before this one, which it has acknowledged.

        Or else this one was sent before: of those that it took before a restart it knows the last alone, as
        Kafka does.
        """
        if batch.attempts == 1:
            self._world.history.forbid(
                f"lost: {batch.log} forgot what {self.name} sent before {batch.sends[0].value!r}"
            )
        self._producer_id = NO_PRODUCER_ID

    # -- both

    def _next_batch(self) -> _Batch:
        log = self._random.choice(self._logs)
        sends = []
        for _ in range(self._random.randrange(1, 4)):
            self._sent += 1
            key = b"key-%d" % self._random.randrange(5) if self._has_keys else None
            sends.append(Send(self.name, key, f"{self.name}-{self._sent}".encode(), self._acks == -1))
        self._world.history.sends[log] += sends
        sequence = self._sequences.get(log, 0)
        self._sequences[log] = sequence + len(sends)
        return _Batch(log, sends, self._encoded(sends, sequence))

    def _encoded(self, sends: Sequence[Send], sequence: int) -> bytes:
        now_ms = self._machine.now_ms()
        records = [Record(number, now_ms, send.key, send.value, ()) for number, send in enumerate(sends)]
        if not self._is_idempotent:
            return encode_batch(records)
        return encode_batch(
            records,
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=sequence if self._is_idempotent else NO_SEQUENCE,
        )

    def _request(self, batches: Iterable[_Batch]) -> ProduceRequest:
        return ProduceRequest(
            acks=self._acks,
            timeout_ms=5_000,
            topic_data=[
                TopicProduceData(
                    name=batch.log.topic,
                    partition_data=[PartitionProduceData(index=batch.log.partition, records=batch.data)],
                )
                for batch in batches
            ],
        )

    def _note(self, batch: _Batch, result: PartitionProduceResponse) -> bool:
        """What became of a batch; whether that is settled."""
        code = ErrorCode(result.error_code)
        self._world.stats[f"produce: {code.name}"] += 1
        if code not in {ErrorCode.none, ErrorCode.duplicate_sequence_number}:
            return False
        for number, send in enumerate(batch.sends):
            send.is_acknowledged, send.life = True, self._machine.lives
            send.offset = result.base_offset + number if result.base_offset >= 0 else None
        return True


@dataclass(slots=True)
class _Batch:
    log: Log
    sends: Sequence[Send]
    data: bytes
    attempts: int = 0


def _results(response: ProduceResponse) -> list[PartitionProduceResponse]:
    return [result for topic in response.responses for result in topic.partition_responses]


class Consumer:
    """Reads all partitions of a topic from their starts, and on."""

    def __init__(self, world: World, name: str, machine: Machine, topic: Topic) -> None:
        self.name = name
        self._world = world
        self._random = world.random(name)
        self._machine = machine
        self._client = world.client(name, machine)
        self._topic = topic.name
        self._logs = topic.logs(machine)
        self._positions = dict.fromkeys(self._logs, 0)

    async def run(self, until: float, pause_s: float) -> None:
        """Read what comes, with a pause after each answer."""
        while self._world.loop.time() < until:
            try:
                await self._poll(max_wait_ms=500)
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            await asyncio.sleep(self._random.expovariate(1 / pause_s))

    async def drain(self) -> None:
        """Read everything that there is, for the checker."""
        found: dict[Log, list[Seen]] = {log: [] for log in self._logs}
        starts = {log: await self._earliest(log) for log in self._logs}
        self._positions = dict(starts)
        is_more = True
        while is_more:
            polled = await self._poll(max_wait_ms=0)
            for log, data, records in polled:
                found[log] += records
                if data.error_code:
                    self._world.history.forbid(f"{log} is not read: {ErrorCode(data.error_code).name}")
            is_more = any(data.records for _, data, _ in polled)  # a batch may have lost all its records
        for log in self._logs:
            self._world.history.drained[log] = Drained(self._machine.lives, starts[log], found[log])

    async def _poll(self, max_wait_ms: int) -> list[tuple[Log, PartitionData, list[Seen]]]:
        life = self._machine.lives
        partitions = [
            FetchPartition(partition=log.partition, fetch_offset=position, partition_max_bytes=_MAX_BYTES)
            for log, position in self._positions.items()
        ]
        request = FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=_MAX_BYTES,
            topics=[FetchTopic(topic=self._topic, partitions=partitions)],
        )
        response = await self._client.call(request, 12, FetchResponse)
        polled = []
        for data in response.responses[0].partitions:
            log = self._logs[data.partition_index]
            records, self._positions[log] = seen_in(data, self._positions[log])
            polled.append((log, data, records))
            if data.error_code == ErrorCode.offset_out_of_range:
                self._positions[log] = await self._earliest(log)
            elif not data.error_code and life == self._machine.lives:
                self._world.history.saw(self.name, log, life, data.high_watermark, records)
                self._world.stats["records read"] += len(records)
        return polled

    async def _earliest(self, log: Log) -> int:
        asked = ListOffsetsPartition(partition_index=log.partition, timestamp=EARLIEST)
        request = ListOffsetsRequest(
            replica_id=-1, topics=[ListOffsetsTopic(name=log.topic, partitions=[asked])]
        )
        response = await self._client.call(request, 7, ListOffsetsResponse)
        result = response.topics[0].partitions[0]
        return result.offset if not result.error_code else 0


class TopicMaker:
    """Makes a topic, uses it and deletes it, again and again under one name."""

    NAME = "comes-and-goes"

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        self.name = name
        self._world = world
        self._random: Random = world.random(name)
        self._client = world.client(name, machine)
        self._generation = 0
        self._may_be_there: dict[bytes, None] = {}

    async def run(self, until: float, pause_s: float) -> None:
        """Begin again and again; what could not be found out is found out the next time."""
        while self._world.loop.time() < until:
            try:
                await self._live_through()
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            await asyncio.sleep(self._random.expovariate(1 / pause_s))

    async def _live_through(self) -> None:
        if not await self._create():
            return
        values = await self._produce()
        if values is not None:
            await self._check(values)
        await self._delete()

    async def _create(self) -> bool:
        topic = CreatableTopic(name=self.NAME, num_partitions=1, replication_factor=1)
        response = await self._client.call(CreateTopicsRequest(topics=[topic]), 7, CreateTopicsResponse)
        code = ErrorCode(response.topics[0].error_code)
        self._world.stats[f"create: {code.name}"] += 1
        if code is ErrorCode.topic_already_exists:
            await self._delete()
        return code is ErrorCode.none

    async def _produce(self) -> list[bytes] | None:
        """The values of a topic that was just made, or None where that is not known."""
        self._generation += 1
        values = [b"%d-%d" % (self._generation, number) for number in range(self._random.randrange(1, 4))]
        for number, value in enumerate(values):
            batch = encode_batch([Record(0, EARLIEST_TIMESTAMP_MS, None, value, ())])
            data = TopicProduceData(
                name=self.NAME, partition_data=[PartitionProduceData(index=0, records=batch)]
            )
            request = ProduceRequest(acks=-1, timeout_ms=5_000, topic_data=[data])
            [result] = _results(await self._client.call(request, 12, ProduceResponse))
            self._world.stats[f"produce: {ErrorCode(result.error_code).name}"] += 1
            if result.error_code:
                return None
            if result.base_offset != number:
                self._world.history.forbid(
                    f"{value!r} is at {result.base_offset} of a new topic, not at {number}"
                )
        return values

    async def _check(self, values: Sequence[bytes]) -> None:
        partition = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=_MAX_BYTES)
        request = FetchRequest(
            max_bytes=_MAX_BYTES, topics=[FetchTopic(topic=self.NAME, partitions=[partition])]
        )
        response = await self._client.call(request, 12, FetchResponse)
        data = response.responses[0].partitions[0]
        if data.error_code:
            self._world.history.forbid(f"a new topic is not read: {ErrorCode(data.error_code).name}")
            return
        found = [record.value for record in seen_in(data, 0)[0]]
        if found != list(values):
            self._world.history.forbid(f"a new topic has {found} instead of {values}")

    async def _delete(self) -> None:
        request = DeleteTopicsRequest(topic_names=[self.NAME], timeout_ms=5_000)
        response = await self._client.call(request, 5, DeleteTopicsResponse)
        code = ErrorCode(response.responses[0].error_code)
        self._world.stats[f"delete: {code.name}"] += 1
