"""The view of a cluster and its connections, against a real broker and against scripted ones."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from tests.unit.client.scripted_broker import api_versions, dial_this_machine, metadata, scripted

from ottla.client.core.metadata import ClusterMetadata, Leader
from ottla.client.errors import (
    AuthenticationError,
    BrokerError,
    BrokerUnreachableError,
    ClientClosedError,
    ClientError,
    DisconnectedError,
    ForkedError,
    MalformedResponseError,
    RequestTimeoutError,
)
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.client.net.host import this_host
from ottla.client.settings import ClientSettings
from ottla.protocol.errors import ErrorCode
from ottla.protocol.headers import response_header_version
from ottla.protocol.messages import APIS
from ottla.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from ottla.testing import run_broker_async

SETTINGS = ClientSettings(
    retry_backoff_ms=5, retry_backoff_max_ms=50, reconnect_backoff_ms=5, reconnect_backoff_max_ms=20
)


@contextlib.asynccontextmanager
async def cluster_of(*servers: str, **settings: object) -> AsyncIterator[Cluster]:
    cluster = Cluster(dataclasses.replace(SETTINGS, bootstrap_servers=servers, **settings))  # type: ignore[arg-type]
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.close()


async def create(cluster: Cluster, name: str, partitions: int = 1) -> None:
    request = CreateTopicsRequest(
        topics=[CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)], timeout_ms=5000
    )
    response = await cluster.send(request, CreateTopicsResponse)
    assert response.topics[0].error_code == ErrorCode.none


async def test_a_broker_is_found_and_asked() -> None:
    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        assert set(cluster.metadata.brokers) == {cluster.metadata.controller_id}
        assert (await cluster.send(ListGroupsRequest(), ListGroupsResponse)).groups == ()
        (node,) = cluster.metadata.brokers
        assert await cluster.version(node, ListGroupsRequest.__key__) == APIS[16].highest
        assert await cluster.version(node, 52) is None


async def test_topics_come_and_go_and_come_again() -> None:
    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        with pytest.raises(BrokerError, match="topic t: unknown_topic_or_partition"):
            await cluster.topic("t", timeout_ms=30)
        await create(cluster, "t", 2)
        first = await cluster.topic("t")
        assert first.partitions.keys() == {0, 1}
        leader = cluster.metadata.leader_of("t", 1)
        assert leader is not None
        delete = DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], topic_names=["t"], timeout_ms=5000)
        await cluster.send(delete, DeleteTopicsResponse)
        await cluster.refresh(["t"])
        assert cluster.metadata.errors == {"t": ErrorCode.unknown_topic_or_partition}
        await create(cluster, "t")
        again = await cluster.topic("t")
        assert again.topic_id not in (None, first.topic_id)
        assert again.partitions.keys() == {0}


async def test_a_topic_is_made_where_that_is_wanted() -> None:
    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        assert (await cluster.topic("auto", allow_auto_creation=True)).partitions


async def test_a_groups_coordinator_is_found_and_remembered() -> None:
    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        node = await cluster.coordinator(CoordinatorKind.GROUP, "g")
        assert node in cluster.metadata.brokers
        assert await cluster.coordinator(CoordinatorKind.GROUP, "g") == node
        cluster.forget_coordinator(CoordinatorKind.GROUP, "g")
        assert await cluster.coordinator(CoordinatorKind.GROUP, "g") == node


async def test_requests_are_pipelined_and_lanes_have_connections_of_their_own() -> None:
    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        (node,) = cluster.metadata.brokers
        answers = await asyncio.gather(
            *(cluster.send(ListGroupsRequest(), ListGroupsResponse, node=node) for _ in range(250))
        )
        assert len(answers) == 250
        main, other = await cluster.connection(node), await cluster.connection(node, "other")
        assert main is not other
        cluster.close_lane("other")
        assert isinstance(other.error, ClientClosedError)
        assert main.error is None


async def test_followers_topics_are_asked_for_and_they_are_told() -> None:
    class Watcher:
        seen: list[ClusterMetadata]

        def topics_wanted(self) -> list[str]:
            return ["t"]

        def metadata_changed(self, metadata: ClusterMetadata) -> None:
            self.seen.append(metadata)

    async with run_broker_async() as broker, cluster_of(broker.bootstrap_servers) as cluster:
        await create(cluster, "t")
        watcher = Watcher()
        watcher.seen = []
        cluster.follow(watcher)
        await cluster.refresh()
        assert watcher.seen[-1].leader_of("t", 0) is not None
        node = watcher.seen[-1].controller_id
        cluster.moved("t", 0, Leader(node, 100))
        assert watcher.seen[-1].leader_of("t", 0) == Leader(node, 100)
        count = len(watcher.seen)
        cluster.stale()
        cluster.stale()
        async with asyncio.timeout(10):
            while len(watcher.seen) == count:
                await asyncio.sleep(0.005)
        cluster.unfollow(watcher)


@pytest.mark.parametrize("is_same", [True, False])
async def test_a_broker_that_restarts_is_found_again(tmp_path: Path, is_same: bool) -> None:
    """Also when it is another cluster's, of which nothing is as it was."""
    async with contextlib.AsyncExitStack() as stack:
        async with run_broker_async(data_dir=tmp_path / "one") as broker:
            cluster = await stack.enter_async_context(cluster_of(broker.bootstrap_servers))
            listener = f"PLAINTEXT://127.0.0.1:{broker.port}"
        with pytest.raises((BrokerUnreachableError, DisconnectedError)):
            await cluster.send(ListGroupsRequest(), ListGroupsResponse)
        folder = tmp_path / ("one" if is_same else "other")
        cluster_id = cluster.metadata.cluster_id
        async with run_broker_async({"listeners": listener}, data_dir=folder):
            response = await cluster.retrying(lambda: cluster.send(ListGroupsRequest(), ListGroupsResponse))
            assert response.error_code == ErrorCode.none
            await cluster.refresh()
            assert (cluster.metadata.cluster_id == cluster_id) is is_same


async def test_nobody_at_the_address_is_told_with_the_reason() -> None:
    async with scripted(lambda *_: None) as address:
        pass
    with pytest.raises(BrokerUnreachableError, match=f"{address}: .*refused"):
        async with cluster_of(address):
            pass


async def test_other_bootstrap_addresses_are_tried() -> None:
    async with scripted(lambda *_: None) as dead:
        pass
    async with run_broker_async() as broker, cluster_of(dead, broker.bootstrap_servers) as cluster:
        assert cluster.metadata.brokers


async def test_what_does_not_speak_kafka_is_told() -> None:
    async with scripted(lambda *_: b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        with pytest.raises(MalformedResponseError, match=address):
            async with cluster_of(address):
                pass
    async with scripted(lambda *_: None) as address:
        with pytest.raises(BrokerUnreachableError, match=f"{address}: .*closed"):
            async with cluster_of(address):
                pass


async def test_a_listener_without_sasl_is_told() -> None:
    sasl = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
    async with run_broker_async() as broker:
        with pytest.raises(AuthenticationError, match=f"{broker.bootstrap_servers}: illegal_sasl_state"):
            async with cluster_of(broker.bootstrap_servers, **sasl, sasl_username="a", sasl_password="b"):
                pass


async def test_an_answer_that_does_not_come_is_given_up_with_its_connection() -> None:
    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes:
        if key == 18:
            return api_versions(version, correlation_id)
        return metadata(version, correlation_id, port) if key == 3 else b""

    async with scripted(answer) as address:
        port = int(address.rpartition(":")[2])
        async with cluster_of(address) as cluster:
            first = asyncio.ensure_future(cluster.send(ListGroupsRequest(), ListGroupsResponse, node=1))
            with pytest.raises(RequestTimeoutError, match=address):
                await cluster.send(ListGroupsRequest(), ListGroupsResponse, node=1, timeout_ms=30)
            with pytest.raises(ClientError):
                await first
            assert (await cluster.refresh()).brokers, "on a new connection"


async def test_a_fork_is_refused() -> None:
    process = 1
    host = this_host()._replace(process_id=lambda: process)
    async with run_broker_async() as broker:
        cluster = Cluster(dataclasses.replace(SETTINGS, bootstrap_servers=(broker.bootstrap_servers,)), host)
        await cluster.start()
        process = 2
        with pytest.raises(ForkedError):
            await cluster.send(ListGroupsRequest(), ListGroupsResponse)
        await cluster.close()


async def test_what_waits_when_the_client_is_closed_fails_clearly() -> None:
    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes:
        return api_versions(version, correlation_id) if key == 18 else b""

    async with scripted(answer) as address:
        cluster = Cluster(dataclasses.replace(SETTINGS, bootstrap_servers=(address,)))
        waiting: list[Awaitable[object]] = [
            asyncio.ensure_future(cluster.refresh()),
            asyncio.ensure_future(cluster.send(ListGroupsRequest(), ListGroupsResponse)),
        ]
        await asyncio.sleep(0.05)
        await cluster.close()
        for each in waiting:
            with pytest.raises(ClientClosedError):
                await each
        with pytest.raises(ClientClosedError):
            await cluster.refresh()


async def test_idle_connections_are_closed_and_made_again() -> None:
    async with (
        run_broker_async() as broker,
        cluster_of(broker.bootstrap_servers, connections_max_idle_ms=1) as cluster,
    ):
        (node,) = cluster.metadata.brokers
        connection = await cluster.connection(node)
        async with asyncio.timeout(20):
            while connection.error is None:
                await asyncio.sleep(0.05)
        await cluster.send(ListGroupsRequest(), ListGroupsResponse, node=node)


@pytest.mark.parametrize("seed", range(8))
async def test_a_hostile_broker_causes_client_errors_alone(seed: int) -> None:
    """Answers are changed in some places, cut, lengthened, or nonsense from the start."""
    chance = random.Random(seed)

    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes | None:
        if key == 18:
            good = bytearray(api_versions(version, correlation_id))
        elif key == 3:
            good = bytearray(metadata(version, correlation_id, port))
        else:
            good = bytearray(8 + response_header_version(key, version)) + chance.randbytes(
                chance.randrange(90)
            )
            good[:8] = (len(good) - 4).to_bytes(4, "big") + correlation_id.to_bytes(4, "big")
        kind = chance.randrange(8)
        if kind == 0:
            return None
        if kind == 1:
            return bytes(good[: chance.randrange(len(good))]) + chance.randbytes(chance.randrange(40))
        if kind in (2, 3):
            for _ in range(chance.randrange(1, 4)):
                good[chance.randrange(len(good))] = chance.randrange(256)
        if kind == 4:
            return bytes(good) * 2
        return bytes(good)

    async with scripted(answer) as address:
        port = int(address.rpartition(":")[2])
        settings = dataclasses.replace(
            SETTINGS,
            bootstrap_servers=(address,),
            request_timeout_ms=30,
            socket_connection_setup_timeout_ms=30,
            reconnect_backoff_ms=0,
            reconnect_backoff_max_ms=0,
            receive_message_max_bytes=100_000,
        )
        outcomes = set()
        for _ in range(40):
            cluster = Cluster(settings, this_host()._replace(dial=dial_this_machine))
            try:
                await cluster.start()
                await cluster.send(ListGroupsRequest(), ListGroupsResponse)
                await cluster.coordinator(CoordinatorKind.GROUP, "g", timeout_ms=50)
            except ClientError as error:
                outcomes.add(type(error))
            finally:
                await cluster.close()
        assert len(outcomes) > 2
