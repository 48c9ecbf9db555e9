"""The client's tests of reading once more, with Apache Kafka behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.client.consumer.test_reading import *  # noqa: F403 - pytest finds them here
from tests.unit.client.consumer.world import World

from .brokers import Broker
from .client_world import kafka_world


@pytest.fixture
async def world(brokers: tuple[Broker, Broker]) -> AsyncIterator[World]:
    async with kafka_world(brokers[0], 2) as made:
        yield made
