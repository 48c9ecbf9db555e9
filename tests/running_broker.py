"""A broker in a thread of its own, shared by the tests of a module; clients in each test's loop."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.raw_client import CREATE_TOPICS, FETCH, METADATA, PRODUCE, RawClient, connect
from tests.sample_requests import FETCH_DEFAULTS, PARTITION_MAX_BYTES

from ottla.protocol.errors import ErrorCode
from ottla.testing import InProcessBroker, run_broker


class Topic:
    """A topic of one test."""

    def __init__(self, client: RawClient, name: str, topic_id: uuid.UUID) -> None:
        self._client = client
        self.name = name
        self.topic_id = topic_id

    async def produce(self, records: bytes, *, partition: int = 0, acks: int = -1) -> dict[str, Any]:
        """What became of one batch."""
        data = {"name": self.name, "partition_data": [{"index": partition, "records": records}]}
        response = await self._client.call(
            PRODUCE, 8, {"acks": acks, "timeout_ms": 1000, "topic_data": [data]}
        )
        return dict(response["responses"][0]["partition_responses"][0])

    async def fetch(self, offset: int = 0, *, partition: int = 0, **request: Any) -> dict[str, Any]:
        """What one partition gives now, without a session."""
        response = await self._client.call(FETCH, 12, self.fetch_request(offset, partition, **request))
        return dict(response["responses"][0]["partitions"][0])

    def fetch_request(self, offset: int = 0, partition: int = 0, **request: Any) -> dict[str, Any]:
        asked = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": PARTITION_MAX_BYTES}
        for name in ("partition_max_bytes", "current_leader_epoch", "last_fetched_epoch"):
            if name in request:
                asked[name] = request.pop(name)
        topics = [{"topic": self.name, "topic_id": self.topic_id, "partitions": [asked]}]
        return {**FETCH_DEFAULTS, "topics": topics, **request}


@pytest.fixture(scope="module")
def broker() -> Iterator[InProcessBroker]:
    with run_broker() as running:
        yield running


@pytest.fixture
async def client(broker: InProcessBroker) -> AsyncIterator[RawClient]:
    async with connect(broker.host, broker.port) as connected:
        yield connected


async def create_topic(client: RawClient, partitions: int = 1, **configs: str) -> Topic:
    """A topic of a name of its own; settings with underscores for dots."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    wanted = {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()],
    }
    created = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 1000})
    assert created["topics"][0]["error_code"] == ErrorCode.none, created
    metadata = await client.call(METADATA, 12, {"topics": [{"name": name}]})
    return Topic(client, name, metadata["topics"][0]["topic_id"])


@pytest.fixture
async def topic(client: RawClient) -> Topic:
    return await create_topic(client, partitions=2)
