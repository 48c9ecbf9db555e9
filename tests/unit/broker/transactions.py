"""A coordinator of transactions that says what a test has it say."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from tests.raw_client import PRODUCE, RawClient, connect
from tests.running_broker import Topic

from ottla.broker import assembly
from ottla.broker.services import RecordServices
from ottla.coordination.runtime import Producer
from ottla.network.memory import RequestMemory
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.codec import Record, encode_batch
from ottla.replica.partitions import Partitions
from ottla.testing import run_broker_async

T0 = int(time.time() * 1000)
"""Markers have the broker's time: a much older record would be in a segment before."""
WRITE_TXN_MARKERS = 27


class Coordinator:
    """What it was asked, and its answers: the next of `answers`, or none when they are used up."""

    def __init__(self, *answers: ErrorCode | KafkaError | Mapping[int, ErrorCode]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Producer, list[int], bool]] = []
        self.waits: list[tuple[str, int]] = []
        self.gate: asyncio.Event | None = None
        self.address = ("", 0)
        """Of the broker that asks"""
        self.memory = RequestMemory(0)
        """Of its requests"""
        self.partitions: Partitions | None = None
        """That it hosts"""

    async def is_asked(self) -> None:
        """Wait for the first question."""
        while not self.asked:
            await asyncio.sleep(0)

    async def add_partitions(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[tuple[str, int]],
        *,
        verify_only: bool,
    ) -> Mapping[tuple[str, int], ErrorCode]:
        self.asked.append((transactional_id, producer, [index for _, index in partitions], verify_only))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else ErrorCode.none
        if isinstance(answer, KafkaError):
            raise answer
        if isinstance(answer, ErrorCode):
            return dict.fromkeys(partitions, answer)
        return {place: answer.get(place[1], ErrorCode.none) for place in partitions}

    async def await_end(self, transactional_id: str, max_wait_ms: int) -> None:
        self.waits.append((transactional_id, max_wait_ms))


@contextlib.asynccontextmanager
async def broker_with(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[RawClient]:
    """A client of a broker that asks this coordinator; settings with underscores for dots."""

    def services(**given: Any) -> RecordServices:
        coordinator.memory, coordinator.partitions = given["request_memory"], given["partitions"]
        return RecordServices(**{**given, "transactions": coordinator})

    monkeypatch.setattr(assembly, "RecordServices", services)
    renamed = {name.replace("_", "."): value for name, value in settings.items()}
    async with run_broker_async(renamed) as broker, connect(broker.host, broker.port) as client:
        coordinator.address = broker.host, broker.port
        yield client


def batch(sequence: int = 0, *, value: bytes = b"v", producer_id: int = 7, **options: Any) -> bytes:
    """One record of a transaction."""
    given = {"producer_epoch": 0, "is_transactional": True, **options}
    return encode_batch(
        [Record(0, T0, b"k", value)], producer_id=producer_id, base_sequence=sequence, **given
    )


def request(
    topic: Topic, records: Mapping[int, bytes], *, transactional_id: str | None = "x", acks: int = -1
) -> dict[str, Any]:
    """A Produce of batches by partition."""
    data = [{"index": index, "records": each} for index, each in records.items()]
    topics = [{"name": topic.name, "topic_id": topic.topic_id, "partition_data": data}]
    return {"transactional_id": transactional_id, "acks": acks, "timeout_ms": 1000, "topic_data": topics}


async def produce(
    client: RawClient,
    topic: Topic,
    records: bytes | Mapping[int, bytes],
    version: int = 13,
    transactional_id: str | None = "x",
) -> list[tuple[ErrorCode, int]]:
    """Each partition's error and base offset."""
    by_partition = {0: records} if isinstance(records, bytes) else records
    asked = request(topic, by_partition, transactional_id=transactional_id)
    return outcome(await client.call(PRODUCE, version, asked))


def outcome(response: Mapping[str, Any]) -> list[tuple[ErrorCode, int]]:
    return [
        (ErrorCode(each["error_code"]), each["base_offset"])
        for each in response["responses"][0]["partition_responses"]
    ]


async def end(
    client: RawClient,
    topic: str,
    *,
    committed: bool = True,
    epoch: int = 0,
    transaction_version: int = 0,
    coordinator_epoch: int = 0,
    producer_id: int = 7,
    partitions: Sequence[int] = (0,),
) -> list[ErrorCode]:
    """WriteTxnMarkers for one producer; each partition's error."""
    marker = {
        "producer_id": producer_id,
        "producer_epoch": epoch,
        "transaction_result": committed,
        "topics": [{"name": topic, "partition_indexes": list(partitions)}],
        "coordinator_epoch": coordinator_epoch,
        "transaction_version": transaction_version,
    }
    response = await client.call(WRITE_TXN_MARKERS, 2, {"markers": [marker]})
    (result,) = response["markers"]
    assert result["producer_id"] == producer_id
    return [ErrorCode(each["error_code"]) for each in result["topics"][0]["partitions"]]
