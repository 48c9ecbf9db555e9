"""A producer with brokers that say what real ones seldom say: leaders that moved, nonsense, nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.client.scripted_broker import Answer, api_versions, dial_this_machine, scripted

from ottla.client.errors import AuthenticationError, ClientError, RequestTimeoutError
from ottla.client.net.cluster import Cluster
from ottla.client.net.host import this_host
from ottla.client.producer.producer import AsyncProducer
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import ClientSettings, parse
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.init_producer_id import InitProducerIdResponse
from ottla.protocol.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from ottla.protocol.messages.produce import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeResponse
from ottla.records.codec import decode_batch

SETTINGS = ClientSettings(
    retry_backoff_ms=1, retry_backoff_max_ms=5, reconnect_backoff_ms=1, reconnect_backoff_max_ms=5
)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


class Brokers:
    """Two of them, of which `leader` has the one partition; `epoch` is the leader's. Metadata tells what was
    true at first."""

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        self.leader, self.epoch = 1, 5
        self.log: list[bytes | None] = []
        self.asked: list[int] = []
        self.tells_endpoints = True

    def answers_of(self, node: int) -> Answer:
        def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes | None:
            match key:
                case 18:
                    return api_versions(version, correlation_id)
                case 3:
                    return wire.encode_response(self.metadata(), version, correlation_id)
                case 22:
                    given = InitProducerIdResponse(producer_id=1, producer_epoch=0)
                    return wire.encode_response(given, version, correlation_id)
                case 0:
                    request = wire.decode(ProduceRequest, version, body)
                    return wire.encode_response(self.produce(node, request), version, correlation_id)
            return None

        return answer

    def metadata(self) -> MetadataResponse:
        partition = MetadataResponsePartition(partition_index=0, leader_id=1, leader_epoch=5)
        known = [1] if self.tells_endpoints else [1, 2]
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=node, host="127.0.0.1", port=self.ports[node])
                for node in known
            ],
            topics=[MetadataResponseTopic(name="t", partitions=[partition])],
        )

    def produce(self, node: int, request: ProduceRequest) -> ProduceResponse:
        self.asked.append(node)
        result = PartitionProduceResponse(index=0, base_offset=len(self.log))
        endpoints = []
        if node == self.leader:
            records = request.topic_data[0].partition_data[0].records or b""
            self.log += [each.value for each in decode_batch(records, max_bytes=1 << 20)]
        else:
            result.error_code = ErrorCode.not_leader_or_follower
            result.current_leader = LeaderIdAndEpoch(leader_id=self.leader, leader_epoch=self.epoch)
            endpoints = [NodeEndpoint(node_id=self.leader, host="127.0.0.1", port=self.ports[self.leader])]
        topic = TopicProduceResponse(name="t", partition_responses=[result])
        return ProduceResponse(responses=[topic], node_endpoints=endpoints)


@contextlib.asynccontextmanager
async def producer_of(address: str, **settings: Any) -> AsyncIterator[AsyncProducer]:
    """All that goes wrong unseen fails the test."""
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    host = this_host()._replace(dial=dial_this_machine)
    cluster = Cluster(dataclasses.replace(SETTINGS, bootstrap_servers=(address,), **settings), host)
    given = {"retry.backoff.ms": 1, "retry.backoff.max.ms": 5, "linger.ms": 0}
    given |= {"delivery.timeout.ms": 500, "request.timeout.ms": 200, "max.block.ms": 100}
    try:
        await cluster.start()
        made = AsyncProducer(cluster, parse(ProducerSettings, given), "producer")
        try:
            yield made
        finally:
            await made.close(timeout_ms=100)
    finally:
        await cluster.close()
    await asyncio.sleep(0)
    assert unseen == []


@pytest.mark.parametrize("tells_endpoints", [True, False])
async def test_a_new_leader_is_followed_from_what_the_old_one_says(tells_endpoints: bool) -> None:
    """Metadata goes on naming the old leader, with an older epoch: it is not believed (KIP-951)."""
    brokers = Brokers()
    brokers.tells_endpoints = tells_endpoints
    async with scripted(brokers.answers_of(1)) as one, scripted(brokers.answers_of(2)) as two:
        brokers.ports = {1: port_of(one), 2: port_of(two)}
        async with producer_of(one) as producer:
            await (await producer.send("t", b"first"))
            brokers.leader, brokers.epoch = 2, 6
            sent = [await producer.send("t", b"%d" % number) for number in range(20)]
            assert [(await each).offset for each in sent] == list(range(1, 21))
            assert brokers.asked == [1, 1, *[2] * (len(brokers.asked) - 2)]
    assert brokers.log == [b"first", *(b"%d" % number for number in range(20))]


async def test_a_broker_that_is_silent_on_a_partition_is_told() -> None:
    brokers = Brokers()
    async with scripted(brokers.answers_of(1)) as one:
        brokers.ports = {1: port_of(one), 2: 1}
        async with producer_of(one) as producer:
            brokers.produce = lambda node, request: ProduceResponse()  # type: ignore[method-assign]
            with pytest.raises(ClientError, match="t-0: the answer to Produce is silent on it"):
                await (await producer.send("t", b"v"))


async def test_a_leader_that_never_comes_is_told() -> None:
    brokers = Brokers()
    brokers.leader = 3
    brokers.ports = {3: 1}
    async with scripted(brokers.answers_of(1)) as one:
        brokers.ports |= {1: port_of(one)}
        async with producer_of(one) as producer:
            with pytest.raises(RequestTimeoutError, match=r"t-0: 1 records were not delivered"):
                await (await producer.send("t", b"v"))


@pytest.mark.parametrize("seed", range(6))
async def test_hostile_answers_cause_client_errors_alone(seed: int) -> None:
    chance = random.Random(seed)
    brokers = Brokers()
    honest = brokers.answers_of(1)

    def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes | None:
        good = bytearray(honest(key, version, correlation_id, body) or b"")
        kind = chance.randrange(6)
        if kind == 0 and key != 18:
            return None
        if kind == 1:
            good[8:] = chance.randbytes(len(good) - 8)
        if kind == 2:
            good[chance.randrange(len(good))] = chance.randrange(256)
        return bytes(good)

    outcomes = set()
    async with scripted(answer) as one:
        brokers.ports = {1: port_of(one)}
        settings = {"request_timeout_ms": 50, "socket_connection_setup_timeout_ms": 50}
        for _ in range(12):
            try:
                async with producer_of(one, receive_message_max_bytes=100_000, **settings) as producer:
                    sent = [await producer.send("t", b"%d" % number) for number in range(5)]
                    for each in sent:
                        await each
            except ClientError as error:
                outcomes.add(type(error))
            else:
                outcomes.add(type(None))
    assert outcomes - {type(None)}


async def test_a_password_that_is_no_longer_believed_ends_what_waits_and_is_not_tried_again() -> None:
    brokers = Brokers()
    refusals: list[int] | None = None

    def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes | None:
        if key == 17:
            return wire.encode_response(SaslHandshakeResponse(), version, correlation_id)
        if key != 36:
            return brokers.answers_of(1)(key, version, correlation_id, body)
        response = SaslAuthenticateResponse()
        if refusals is not None:
            refusals.append(key)
            response.error_code = ErrorCode.sasl_authentication_failed
        return wire.encode_response(response, version, correlation_id)

    sasl = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "ann"}
    async with scripted(answer) as address:
        brokers.ports[1] = port_of(address)
        async with producer_of(address, **sasl, sasl_password="old") as producer:
            assert (await (await producer.send("t", b"a"))).offset == 0
            producer._cluster.close_lane("producer")
            refusals = []
            with pytest.raises(AuthenticationError, match="sasl_authentication_failed"):
                await (await producer.send("t", b"b"))
            assert len(refusals) == 1
            refusals = None
            assert (await (await producer.send("t", b"c"))).offset == 1
    assert brokers.log == [b"a", b"c"]
