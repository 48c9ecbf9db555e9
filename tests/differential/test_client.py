"""The client's tests of producers and transactions once more, with Apache Kafka behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.client.producer import test_producer
from tests.unit.client.producer.test_transactions import *  # noqa: F403 - pytest finds them here

from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.net.cluster import Cluster

from .brokers import Broker

test_a_topic_made_again_is_written_to = test_producer.test_a_topic_made_again_is_written_to
test_columns_are_written_as_they_are = test_producer.test_columns_are_written_as_they_are
test_every_codec_and_acks = test_producer.test_every_codec_and_acks
test_keys_say_the_partition_as_in_java = test_producer.test_keys_say_the_partition_as_in_java
test_memory_is_bounded_and_waited_for = test_producer.test_memory_is_bounded_and_waited_for
test_records_are_delivered_as_they_are = test_producer.test_records_are_delivered_as_they_are
test_what_a_topic_refuses_is_told = test_producer.test_what_a_topic_refuses_is_told_and_the_rest_goes_on


@pytest.fixture
async def c(brokers: tuple[Broker, Broker]) -> AsyncIterator[AsyncClient]:
    """A client of Kafka, where nothing is left that tests make."""
    host, port = brokers[0].address
    settings = {"retry.backoff.ms": 5, "retry.backoff.max.ms": 50}
    async with AsyncClient(client_settings(f"{host}:{port}", {}, {})) as other:
        topics, groups = await names(other)
        async with AsyncClient(client_settings(f"{host}:{port}", settings, {})) as made:
            yield made
        async with asyncio.timeout(20):
            now = await names(other)
            (await other.admin.topics.delete(now[0] - topics)).check()
            while (await other.admin.groups.delete(now[1] - groups)).errors:
                await asyncio.sleep(0.1)
            while (await names(other))[0] - topics:
                await asyncio.sleep(0.1)


async def names(client: AsyncClient) -> tuple[set[str], set[str]]:
    """The topics and groups that there are."""
    topics = {topic.name for topic in await client.admin.topics.list()}
    groups = (await client.admin.groups.list()).values()
    return topics, {group.group_id for listed in groups for group in listed}


@pytest.fixture
async def cluster(c: AsyncClient) -> Cluster:
    return c.cluster
