"""Sends what a producer's core has, when it is due, and tells the core what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import Final
from uuid import UUID

from ottla.client.core.batches import Batch, Identity
from ottla.client.core.connection import decode_body
from ottla.client.core.metadata import BrokerNode, Leader
from ottla.client.core.producer import NEVER, ProducerCore, ProduceTo
from ottla.client.errors import (
    AuthenticationError,
    ClientClosedError,
    ClientError,
    DisconnectedError,
    MalformedResponseError,
    broker_error,
)
from ottla.client.net.cluster import Cluster
from ottla.client.net.connection import Connection
from ottla.client.producer.coordinator import TransactionCoordinator
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import INT_MAX
from ottla.protocol import produce
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
)

_TOPIC: Final = attrgetter("topic")
_LAST_WITHOUT_TOPIC_IDS: Final = 12
_LAST_BEFORE_IMPLICIT: Final = 11
"""From the next version on a broker adds partitions to the transaction by itself (KIP-890)."""


class Sender:
    """Works when it is woken (`wake`), and when something in the core gets due."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ProducerSettings,
        core: ProducerCore,
        coordinator: TransactionCoordinator | None,
        lane: str,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._core = core
        self._coordinator = coordinator
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_woken = False
        self._connecting: dict[int, asyncio.Task[None]] = {}
        self._identifying: asyncio.Task[None] | None = None
        self._adding: asyncio.Task[None] | None = None
        self._room: list[asyncio.Future[None]] = []
        self._full = 0
        """How much was reserved when there was no room"""
        self._is_closed = False

    def wake(self) -> None:
        """Look what there is to send, in the loop's next turn."""
        if not self._is_woken and not self._is_closed:
            self._is_woken = True
            self._loop.call_soon(self._pump)

    def wake_at(self, time: float) -> None:
        """Look again at this time of the loop's clock, at the latest."""
        if time == NEVER or self._is_woken or self._is_closed:
            return
        if self._timer is not None:
            if self._timer.when() <= time:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(time, self._pump)

    async def room(self, timeout_s: float) -> None:
        """Wait until some memory was freed; TimeoutError."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._room.append(waiter)
        self._full = self._core.reserved
        self.wake()
        async with asyncio.timeout(timeout_s):
            await waiter

    async def added(self) -> None:
        """Once no partition is being added to the transaction any more: what ends it must come after that."""
        if self._adding is not None:
            await asyncio.wait([self._adding])

    async def close(self) -> None:
        """Stop sending; what is left fails."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._connecting.values(), *filter(None, (self._identifying, self._adding))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._cluster.close_lane(self._lane)  # fails what is in flight
        await asyncio.sleep(0)
        self._core.drop_waiting(ClientClosedError("the producer was closed"))
        self._let_in()

    # Inside.

    def _pump(self) -> None:
        self._is_woken = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        core, now = self._core, self._loop.time()
        for error in core.expire(now):
            self._failed(error)
        reason = None if self._coordinator is None else self._coordinator.transactions.abandons()
        if reason is not None:
            core.drop_waiting(reason)
        if core.needs_identity:
            self._identify()
        for request in core.drain(self._cluster.metadata, now, self._may_send, self._is_connected):
            self._produce(request)
        for node in core.unconnected:
            self._connect(node)
        if core.leaderless:
            self._cluster.stale(core.leaderless)
        self._add_partitions()
        self._let_in()
        self.wake_at(core.next_wakeup())

    def _may_send(self, topic: str, partition: int) -> bool:
        return self._coordinator is None or self._coordinator.transactions.may_send(topic, partition)

    def _let_in(self) -> None:
        if self._core.reserved >= self._full and not self._is_closed:
            return
        waiters, self._room = self._room, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _failed(self, error: ClientError) -> None:
        if self._coordinator is not None:
            self._coordinator.transactions.failed(error)

    def _is_connected(self, node: int) -> bool:
        return self._cluster.open_connection(node, self._lane) is not None

    def _connect(self, node: int) -> None:
        if node not in self._connecting:
            task = self._loop.create_task(self._connected(node))
            self._connecting[node] = task

    async def _connected(self, node: int) -> None:
        """Only then are batches numbered and sent: who waits for a connection may be overtaken."""
        try:
            await self._cluster.connection(node, self._lane)
        except ClientError as error:
            self._core.last_problem = error
            if isinstance(error, AuthenticationError):
                self._core.drop_waiting(error)
                self._failed(error)
            else:
                self._cluster.stale()
        finally:
            del self._connecting[node]
        self.wake()

    def _produce(self, request: ProduceTo) -> None:
        """Write a request; what comes of it is for later."""
        connection = self._cluster.open_connection(request.node, self._lane)
        timeout_s = self._settings.request_timeout_ms / 1000
        is_answered = self._settings.required_acks != 0
        try:
            if connection is None:
                raise DisconnectedError(f"broker {request.node}: not connected")
            version, ids = self._version(connection, request.batches)
            answer = connection.submit(
                ProduceRequest.__key__,
                version,
                self._body(version, ids, request.batches),
                self._loop.time() + timeout_s,
                is_answered=is_answered,
            )
        except ClientError as error:
            self._over(request, partial(self._unanswered, request.batches, error, was_sent=False))
            return
        if answer is None:
            self._over(request, partial(self._assumed, request.batches))
            return
        names = {each: name for name, each in ids.items()}
        answer.add_done_callback(
            lambda done: self._over(request, partial(self._take, request.batches, version, names, done))
        )

    def _over(self, request: ProduceTo, tell: Callable[[], None]) -> None:
        self._core.answered(request)
        tell()
        self.wake()

    def _assumed(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._core.delivered(batch, -1)

    def _take(
        self, batches: list[Batch], version: int, names: dict[UUID, str], answer: asyncio.Future[memoryview]
    ) -> None:
        try:
            response = decode_body(ProduceResponse, version, answer.result())
        except ClientError as error:
            self._unanswered(batches, error, was_sent=True)
        else:
            self._answered(batches, response, names)

    def _version(self, connection: Connection, batches: Iterable[Batch]) -> tuple[int, dict[str, UUID]]:
        """The version, and the topics' ids where it needs them."""
        highest = None
        if self._coordinator is not None and not self._coordinator.transactions.is_implicit:
            highest = _LAST_BEFORE_IMPLICIT
        version = connection.versions.need(ProduceRequest.__key__, highest=highest)
        if version <= _LAST_WITHOUT_TOPIC_IDS:
            return version, {}
        topics = self._cluster.metadata.topics
        ids = {name: topics[name].topic_id for batch in batches if (name := batch.topic) in topics}
        known = {name: topic_id for name, topic_id in ids.items() if topic_id is not None}
        if all(batch.topic in known for batch in batches):
            return version, known
        return connection.versions.need(ProduceRequest.__key__, highest=_LAST_WITHOUT_TOPIC_IDS), {}

    def _body(self, version: int, ids: dict[str, UUID], batches: Iterable[Batch]) -> list[bytes | memoryview]:
        """In pieces, so that records are not copied."""
        partitions = []
        for batch in sorted(batches, key=_TOPIC):
            assert batch.data is not None
            records = memoryview(batch.data)
            partitions.append(
                produce.PartitionData(batch.topic, ids.get(batch.topic), batch.partition, records)
            )
        coordinator = self._coordinator
        transactional_id = None if coordinator is None else coordinator.transactions.transactional_id
        settings = self._settings
        request = produce.ProduceRequest(
            transactional_id, settings.required_acks, settings.request_timeout_ms, partitions
        )
        return produce.encode_produce(version, request)

    def _answered(self, batches: list[Batch], response: ProduceResponse, names: dict[UUID, str]) -> None:
        results: dict[tuple[str, int], PartitionProduceResponse] = {}
        for topic in response.responses:
            name = names.get(topic.topic_id, "") if topic.topic_id is not None else topic.name
            for partition in topic.partition_responses:
                results[name, partition.index] = partition
        endpoints = [
            BrokerNode(each.node_id, each.host, each.port, each.rack) for each in response.node_endpoints
        ]
        for batch in batches:
            result = results.get((batch.topic, batch.partition))
            if result is None:
                error = MalformedResponseError(f"{batch.name}: the answer to Produce is silent on it")
                self._unanswered([batch], error, was_sent=True)
            elif result.error_code == ErrorCode.none:
                self._core.delivered(batch, result.base_offset, result.log_append_time_ms)
            else:
                self._refused(batch, result, endpoints)

    def _refused(
        self, batch: Batch, result: PartitionProduceResponse, endpoints: Iterable[BrokerNode]
    ) -> None:
        reasons = [each.batch_index_error_message for each in result.record_errors]
        reason = result.error_message or next(filter(None, reasons), None)
        leader = result.current_leader
        if leader.leader_id >= 0:
            news = Leader(leader.leader_id, leader.leader_epoch)
            self._cluster.moved(batch.topic, batch.partition, news, endpoints)
        if broker_error(result.error_code).needs_refresh:
            self._cluster.stale([batch.topic])
        error = self._core.refused(batch, result.error_code, reason, self._loop.time())
        if error is not None:
            self._failed(error)

    def _unanswered(self, batches: Iterable[Batch], error: ClientError, was_sent: bool) -> None:
        now = self._loop.time()
        if error.needs_refresh:
            self._cluster.stale([batch.topic for batch in batches])
        for batch in batches:
            final = self._core.unanswered(batch, error, now, was_sent=was_sent)
            if final is not None:
                self._failed(final)

    # Identity of a producer without transactions; partitions of one with them.

    def _identify(self) -> None:
        if self._coordinator is None and self._identifying is None and not self._is_closed:
            self._identifying = self._loop.create_task(self._ask_for_identity())

    async def _ask_for_identity(self) -> None:
        async def attempt() -> InitProducerIdResponse:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=INT_MAX)
            response = await self._cluster.send(request, InitProducerIdResponse)
            if response.error_code:
                raise broker_error(response.error_code, what="InitProducerId")
            return response

        try:
            response = await self._cluster.retrying(attempt)
            self._core.identified(Identity(response.producer_id, response.producer_epoch))
        except ClientError as error:
            if not error.retriable:
                self._core.drop_waiting(error)
            else:
                self.wake_at(self._loop.time() + 1.0)
        finally:
            self._identifying = None
        self.wake()

    def _add_partitions(self) -> None:
        coordinator = self._coordinator
        if coordinator is None or self._adding is not None or self._is_closed:
            return
        partitions = coordinator.transactions.to_add()
        if partitions:
            self._adding = self._loop.create_task(self._add(coordinator, partitions))

    async def _add(self, coordinator: TransactionCoordinator, partitions: list[tuple[str, int]]) -> None:
        try:
            await coordinator.add_partitions(partitions)
        except ClientError as error:
            coordinator.transactions.failed(error)
        finally:
            self._adding = None
        self.wake()
