"""Where the audit is kept: a file, standard error, a topic."""

from __future__ import annotations

import asyncio
import os  # noqa: TID251 - of the file
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final

from ottla.broker.audit.trail import OutletError, Trail
from ottla.metadata.topics import NewTopic
from ottla.network.peers import PeerError
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.codec import Record, encode_batch

if TYPE_CHECKING:
    from ottla.broker.audit.trail import Outlet
    from ottla.broker.host import Host
    from ottla.config.broker import BrokerConfig
    from ottla.controller.topics import TopicController
    from ottla.metadata.image import ImageSource
    from ottla.metadata.model import Topic
    from ottla.network.peers import Channel
    from ottla.replica.partitions import Partitions

_REPLICAS_MAX: Final = 3
_TIMEOUT_MS: Final = 30_000


class File:
    """Appended to; opened anew once it was moved away, as log rotation does it. `stderr` is the process's.

    What could not be written is given again, with more behind it.
    """

    def __init__(self, path: str, thread: Executor) -> None:
        self.name = path
        self._thread = thread
        self._descriptor: int | None = None
        self._already = 0
        """Bytes of what is to be written that are in the file, since a disk was full in the midst of it"""

    async def write(self, lines: Sequence[bytes]) -> None:
        run = asyncio.get_running_loop().run_in_executor
        try:
            await run(self._thread, self._write, b"".join(lines))
        except OSError as error:
            raise OutletError(str(error)) from error

    def _write(self, text: bytes) -> None:
        descriptor = self._open()
        while self._already < len(text):  # it is given again where this fails
            self._already += os.write(descriptor, memoryview(text)[self._already :])
        self._already = 0

    def _open(self) -> int:
        if self.name == "stderr":
            return sys.stderr.fileno()
        if self._descriptor is not None and not self._is_there(self._descriptor):
            self._close()
        if self._descriptor is None:
            self._descriptor = os.open(
                self.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        return self._descriptor

    def _is_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.name), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._already = 0

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)  # a disk, or who reads stderr, may never take it


class AuditTopic:
    """One partition, made when there is something to be written; an entry is a record's value."""

    def __init__(
        self,
        name: str,
        node_id: int,
        metadata: ImageSource,
        topics: TopicController,
        partitions: Partitions,
        channel: Callable[[int], Channel],
        now_ms: Callable[[], int],
    ) -> None:
        """`channel` opens a connection to another broker."""
        self.name = name
        self._node_id = node_id
        self._metadata = metadata
        self._topics = topics
        self._partitions = partitions
        self._open = channel
        self._channel: tuple[int, Channel] | None = None
        self._now_ms = now_ms

    async def write(self, lines: Sequence[bytes]) -> None:
        now_ms = self._now_ms()
        values = [line.rstrip(b"\n") for line in lines]
        batch = encode_batch([Record(number, now_ms, None, value) for number, value in enumerate(values)])
        try:
            topic = await self._topic()
            leader = topic.partitions[0].leader
            if leader == self._node_id:
                self._partitions.get(self.name, 0).append_own(batch, now_ms)
            else:
                await self._send(leader, topic, batch)
        except (KafkaError, PeerError) as error:
            raise OutletError(str(error) or type(error).__name__) from error

    async def _topic(self) -> Topic:
        image = self._metadata.image
        topic = image.topics.get(self.name)
        if topic is not None:
            return topic
        replicas = max(1, min(_REPLICAS_MAX, sum(map(image.is_active, image.brokers))))
        wanted = NewTopic(self.name, 1, replicas, configs={"cleanup.policy": "delete"})
        result = (await self._topics.create_topics([wanted]))[self.name]
        if isinstance(result, KafkaError) and result.code is not ErrorCode.topic_already_exists:
            raise result
        topic = self._metadata.image.topics.get(self.name)
        if topic is None:
            raise KafkaError(ErrorCode.unknown_topic_or_partition, "the topic is not there yet")
        return topic

    async def _send(self, leader: int, topic: Topic, batch: bytes) -> None:
        from ottla.protocol.messages.produce import (
            PartitionProduceData,
            ProduceRequest,
            ProduceResponse,
            TopicProduceData,
        )

        if self._channel is None or self._channel[0] != leader:
            self.close()
            self._channel = leader, self._open(leader)
        data = PartitionProduceData(index=0, records=batch)
        request = ProduceRequest(
            acks=-1,
            timeout_ms=_TIMEOUT_MS,
            topic_data=[TopicProduceData(name=topic.name, topic_id=topic.topic_id, partition_data=[data])],
        )
        answer = await self._channel[1].send(request, ProduceResponse, _TIMEOUT_MS / 1000 + 5)
        code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
        if code is not ErrorCode.none:
            raise KafkaError(code, code.name)

    def close(self) -> None:
        if self._channel is not None:
            self._channel[1].close()
            self._channel = None


def make_trail(
    config: BrokerConfig,
    host: Host,
    metadata: ImageSource,
    topics: TopicController,
    partitions: Partitions,
    channel: Callable[[int], Channel],
) -> Trail:
    """With the outlets that are configured."""
    outlets: list[Outlet] = []
    now_ms = host.clock.now_ms
    if config.ottla_audit_log is not None:
        outlets.append(File(config.ottla_audit_log, host.make_executor(1, "ottla-audit")))
    if config.ottla_audit_topic is not None:
        name = config.ottla_audit_topic
        outlets.append(AuditTopic(name, config.node_id, metadata, topics, partitions, channel, now_ms))
    return Trail(config.node_id, now_ms, outlets)
