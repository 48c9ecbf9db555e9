"""What a stream processor asks of the client once more, with Apache Kafka behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.client.test_processing import *  # noqa: F403 - pytest finds them here

from ottla.client.connecting import AsyncClient

from .brokers import Broker
from .client_world import kafka_client


@pytest.fixture
async def c(brokers: tuple[Broker, Broker]) -> AsyncIterator[AsyncClient]:
    async with kafka_client(brokers[0]) as made:
        yield made
