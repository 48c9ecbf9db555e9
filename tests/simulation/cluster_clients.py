"""Clients of a cluster: they find the leader, and note what they wrote and read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tests.simulation.client import Client, NoAnswerError
from tests.simulation.history import Log, Seen
from tests.simulation.records import Topic, seen_in

from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.batch import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE
from ottla.records.codec import Record, encode_batch

if TYPE_CHECKING:
    from tests.simulation.replicated import Replicated

_RETRY_S = 0.15
_PRODUCE_TIMEOUT_MS = 1_500
_MAX_BYTES = 1 << 20
CLUSTER = "the cluster"
"""In place of a machine, where a log is all its copies"""


def logs_of(topic: Topic) -> list[Log]:
    return [Log(CLUSTER, topic.name, index) for index in range(topic.partitions)]


class Finder:
    """Knows who leads, by what any broker says."""

    def __init__(self, test: Replicated, name: str) -> None:
        self._random = test.world.random(f"finder of {name}")
        self.brokers = {
            node_id: test.world.client(name, machine) for node_id, machine in test.cluster.machines.items()
        }
        self._leaders: dict[Log, tuple[int, int]] = {}
        self._epochs: dict[Log, int] = {}
        """The newest that each was heard of in: older ones are news of the past (KIP-320)"""

    def close(self) -> None:
        for client in self.brokers.values():
            client.close()

    def any(self) -> Client:
        return self.brokers[self._random.choice(list(self.brokers))]

    async def leader(self, log: Log) -> tuple[Client, int]:
        """And its epoch. Raises NoAnswerError while there is none, or nobody says."""
        if log not in self._leaders:
            await self._ask(log)
        if log not in self._leaders:
            raise NoAnswerError
        node_id, epoch = self._leaders[log]
        return self.brokers[node_id], epoch

    def forget(self, log: Log) -> None:
        """Ask again before the next try."""
        self._leaders.pop(log, None)

    async def _ask(self, log: Log) -> None:
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name=log.topic)], allow_auto_topic_creation=False
        )
        response = await self.any().call(request, 12, MetadataResponse)
        for topic in response.topics:
            for partition in topic.partitions:
                epoch = partition.leader_epoch
                if partition.partition_index != log.partition or epoch < self._epochs.get(log, 0):
                    continue
                self._epochs[log] = epoch
                if partition.leader_id in self.brokers:
                    self._leaders[log] = partition.leader_id, epoch


class ReplicatedProducer:
    """Writes unique values with `acks=all`, one batch after another."""

    def __init__(self, test: Replicated, name: str, topic: Topic, *, is_idempotent: bool) -> None:
        self.name = name
        self._test = test
        self._random = test.world.random(name)
        self._finder = Finder(test, name)
        self._logs = logs_of(topic)
        self._is_idempotent = is_idempotent
        self._producer_id, self._epoch = NO_PRODUCER_ID, NO_PRODUCER_EPOCH
        self._sequences: dict[Log, int] = {}
        self._sent = 0

    async def run(self, until: float, pause_s: float) -> None:
        """Write, on and on, with `pause_s` in the mean in between."""
        now = self._test.world.loop.time
        while now() < until:
            try:
                if self._is_idempotent and self._producer_id == NO_PRODUCER_ID:
                    await self._initialise()
                else:
                    await self._write(until)
            except NoAnswerError:
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(self._random.expovariate(1 / pause_s))

    async def _initialise(self) -> None:
        request = InitProducerIdRequest(transaction_timeout_ms=1000)
        given = await self._finder.any().call(request, 4, InitProducerIdResponse)
        if given.error_code:
            raise NoAnswerError
        self._producer_id, self._epoch = given.producer_id, given.producer_epoch
        self._sequences.clear()

    async def _write(self, until: float) -> None:
        log = self._random.choice(self._logs)
        values = []
        for _ in range(self._random.randrange(1, 4)):
            self._sent += 1
            values.append(f"{self.name}-{self._sent}".encode())
        sequence = self._sequences.get(log, 0)
        batch = self._encoded(values, sequence)
        self._test.history.sent(log, values)
        while True:
            code, offset = await self._send(log, batch)
            self._test.world.stats[f"produce: {code.name}"] += 1
            if code in {ErrorCode.none, ErrorCode.duplicate_sequence_number}:
                self._sequences[log] = sequence + len(values)
                if offset >= 0:
                    self._test.history.acknowledged(log, values, offset)
                return
            self._finder.forget(log)
            if code is ErrorCode.out_of_order_sequence_number:
                self._test.history.forbid(f"{self.name} sent all in order to {log}, and is told otherwise")
            if not self._is_idempotent:
                return
            if self._test.world.loop.time() > until:  # nobody knows what became of it
                self._producer_id = NO_PRODUCER_ID
                return
            await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))

    async def _send(self, log: Log, batch: bytes) -> tuple[ErrorCode, int]:
        """What was answered; `unknown_server_error` where nothing was."""
        data = TopicProduceData(
            name=log.topic, partition_data=[PartitionProduceData(index=log.partition, records=batch)]
        )
        request = ProduceRequest(acks=-1, timeout_ms=_PRODUCE_TIMEOUT_MS, topic_data=[data])
        try:
            leader, _ = await self._finder.leader(log)
            response = await leader.call(request, 12, ProduceResponse)
        except NoAnswerError:
            return ErrorCode.unknown_server_error, -1
        result = response.responses[0].partition_responses[0]
        return ErrorCode(result.error_code), result.base_offset

    def _encoded(self, values: Sequence[bytes], sequence: int) -> bytes:
        now_ms = self._test.now_ms()
        records = [Record(number, now_ms, None, value, ()) for number, value in enumerate(values)]
        return encode_batch(
            records,
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=sequence if self._is_idempotent else NO_SEQUENCE,
        )


class ReplicatedConsumer:
    """Reads each partition of a topic from its leader."""

    def __init__(self, test: Replicated, name: str, topic: Topic) -> None:
        self.name = name
        self._test = test
        self._random = test.world.random(name)
        self._finder = Finder(test, name)
        self._positions: dict[Log, int] = dict.fromkeys(logs_of(topic), 0)
        self._eras: dict[Log, int] = {}
        """In which it has read up to there"""

    async def run(self, until: float, pause_s: float) -> None:
        """Read what comes, with a pause after each answer."""
        while self._test.world.loop.time() < until:
            log = self._random.choice(list(self._positions))
            try:
                await self._poll(log, max_wait_ms=200)
            except NoAnswerError:
                self._finder.forget(log)
            await asyncio.sleep(self._random.expovariate(1 / pause_s))

    async def drain(self) -> Mapping[Log, list[Seen]]:
        """All that there is, once the faults are over; raises NoAnswerError."""
        found: dict[Log, list[Seen]] = {}
        for log in self._positions:
            self._positions[log] = 0
            found[log] = []
            while records := await self._poll(log, max_wait_ms=0):
                found[log] += records
        return found

    async def _poll(self, log: Log, max_wait_ms: int) -> list[Seen]:
        era = self._test.history.era
        leader, epoch = await self._finder.leader(log)
        asked = FetchPartition(
            partition=log.partition,
            current_leader_epoch=epoch,
            fetch_offset=self._positions[log],
            partition_max_bytes=_MAX_BYTES,
        )
        request = FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=_MAX_BYTES,
            topics=[FetchTopic(topic=log.topic, partitions=[asked])],
        )
        data = (await leader.call(request, 12, FetchResponse)).responses[0].partitions[0]
        if data.error_code:
            self._finder.forget(log)
            if data.error_code == ErrorCode.offset_out_of_range:
                if self._eras.get(log) == self._test.history.era:
                    self._test.history.out_of_range(self.name, log, self._positions[log])
                self._positions[log] = 0
            raise NoAnswerError
        records, self._positions[log] = seen_in(data, self._positions[log])
        if era == self._test.history.era:
            self._test.history.read(self.name, log, records)
            if records:
                self._eras[log] = era
        self._test.world.stats["records read"] += len(records)
        return records
