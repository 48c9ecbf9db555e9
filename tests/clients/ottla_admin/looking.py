"""What the tests of the admin client look with."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from confluent_kafka import Producer

from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.results import Results
from ottla.client.admin.topics import TopicDescription
from ottla.client.errors import BrokerUpgradeError, ClientError
from ottla.protocol.errors import ErrorCode

T = TypeVar("T")

NO_TOPIC = "no-such-topic"


def code(error: ClientError | None) -> ErrorCode | None:
    return None if error is None else error.code


def skip_if_not_served(error: ClientError | None) -> None:
    """Skip where the broker has no such API, or was not set up for it."""
    codes = ErrorCode.security_disabled, ErrorCode.unsupported_version
    if isinstance(error, BrokerUpgradeError) or code(error) in codes:
        pytest.skip(str(error))


async def eventually(look: Callable[[], Awaitable[T]], is_seen: Callable[[T], bool]) -> T:
    """What `look` gives once it is as it should be: brokers learn of changes a little later."""
    deadline = time.monotonic() + 20
    while True:
        found = await look()
        if is_seen(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.02)


async def described_topic(admin: AsyncAdmin, name: str, partitions: int) -> TopicDescription:
    """A topic that shall have so many partitions soon."""

    async def look() -> Results[str | uuid.UUID, TopicDescription]:
        return await admin.topics.describe([name])

    def is_seen(found: Results[str | uuid.UUID, TopicDescription]) -> bool:
        return name in found.succeeded and len(found[name].partitions) == partitions

    return (await eventually(look, is_seen))[name]


def produce(bootstrap: str, topic: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value, partition=0, timestamp=1000 * int(value))
    assert producer.flush(20) == 0
