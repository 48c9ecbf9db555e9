"""TxnOffsetCommit's handler: whom it asks about the transaction, and what it tells its client (KIP-890)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ottla.broker.apis.groups.transactional_offsets import APIS
from ottla.broker.request import RequestContext
from ottla.config.broker import broker_config
from ottla.coordination.runtime import Client, Producer
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import PartitionState, Topic
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from ottla.security.principal import ANONYMOUS
from ottla.storage.verification import EXEMPT, Verification

TOPIC = Topic("known", uuid.UUID(int=7), (PartitionState((1,), (1,), 1),))
PLACE = ("__consumer_offsets", 3)
GUARD = Verification(5, -1, 0, adds_partition=True)


class Surroundings:
    """Stands for the group coordinator, the partition of the group, and the transaction coordinator."""

    def __init__(self, *, is_verified: bool = True, is_open: bool = False) -> None:
        self.metadata = SimpleNamespace(
            image=MetadataImage(topics={TOPIC.name: TOPIC}, topics_by_id={TOPIC.topic_id: TOPIC})
        )
        config = replace(broker_config(), transaction_partition_verification_enable=is_verified)
        self.replica_config = SimpleNamespace(value=config)
        self.groups = self.transactions = self
        self.partition = SimpleNamespace(topic=PLACE[0], index=PLACE[1], begin_verification=self._begin)
        self.is_open = is_open
        self.begun: list[tuple[Any, ...]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.committed: list[Verification | None] = []
        self.told = ErrorCode.none
        """By the transaction's coordinator"""
        self.refusal: ErrorCode | None = None
        """Of the group coordinator"""

    def owner_of(self, group_id: str) -> Any:
        assert group_id == "g"
        return self

    def _begin(self, *asked: Any, adds_partition: bool) -> Verification | None:
        self.begun.append((*asked, adds_partition))
        return None if self.is_open else GUARD

    async def add_partitions(
        self, name: str, producer: Producer, partitions: Sequence[tuple[str, int]], *, verify_only: bool
    ) -> Mapping[tuple[str, int], ErrorCode]:
        self.asked.append((name, producer, partitions, verify_only))
        return dict.fromkeys(partitions, self.told)

    def txn_offset_commit(
        self, request: TxnOffsetCommitRequest, client: Client, verification: Verification | None
    ) -> TxnOffsetCommitResponse:
        if self.refusal:
            raise KafkaError(self.refusal)
        self.committed.append(verification)
        return TxnOffsetCommitResponse()

    async def commit(self, version: int, *, group_id: str = "g", partitions: Sequence[int] = (0,)) -> Any:
        topic = TxnOffsetCommitRequestTopic(
            name=TOPIC.name,
            topic_id=TOPIC.topic_id,
            partitions=[TxnOffsetCommitRequestPartition(partition_index=each) for each in partitions],
        )
        request = TxnOffsetCommitRequest(
            transactional_id="x", group_id=group_id, producer_id=4, producer_epoch=5, topics=[topic]
        )
        context = RequestContext(Session(ANONYMOUS, "A", "192.0.2.1"), 28, version, 5, "client", 1_000)
        (api,) = APIS
        return await api.handle(self, context, request)  # type: ignore[misc, arg-type]

    async def codes(self, version: int, **request: Any) -> list[ErrorCode]:
        (topic,) = (await self.commit(version, **request)).topics
        return [each.error_code for each in topic.partitions]


@pytest.mark.parametrize("version", range(7))
async def test_the_partition_is_added_by_new_clients_and_verified_for_old_ones(version: int) -> None:
    around = Surroundings()
    await around.commit(version)
    assert around.begun == [(4, 5, -1, 1_000, version >= 5)]
    assert around.asked == [("x", Producer(4, 5), [PLACE], version < 5)]
    assert around.committed == [GUARD]


@pytest.mark.parametrize("version", [4, 5])
async def test_nobody_is_asked_about_a_transaction_that_is_open(version: int) -> None:
    around = Surroundings(is_open=True)
    await around.commit(version)
    assert not around.asked
    assert around.committed == [None]


async def test_verification_may_be_left_out_but_not_adding() -> None:
    around = Surroundings(is_verified=False)
    await around.commit(4)
    assert not around.asked
    assert around.committed == [EXEMPT]
    await around.commit(5)
    assert around.asked
    assert around.committed == [EXEMPT, GUARD]


async def test_nobody_is_asked_about_what_does_not_exist() -> None:
    around = Surroundings()
    assert await around.codes(6, partitions=[1, -1]) == [ErrorCode.unknown_topic_or_partition] * 2
    assert await around.codes(6, partitions=[1], group_id="") == [ErrorCode.unknown_topic_or_partition]
    assert not around.begun
    assert await around.codes(6, partitions=[0, 1], group_id="") == [
        ErrorCode.invalid_group_id,
        ErrorCode.unknown_topic_or_partition,
    ]
    assert not around.begun


@pytest.mark.parametrize(
    ("code", "version", "told"),
    [
        (ErrorCode.transaction_abortable, 3, ErrorCode.invalid_txn_state),
        (ErrorCode.transaction_abortable, 4, ErrorCode.transaction_abortable),
        (ErrorCode.network_exception, 2, ErrorCode.coordinator_load_in_progress),
        (ErrorCode.network_exception, 1, ErrorCode.coordinator_not_available),
        (ErrorCode.coordinator_load_in_progress, 2, ErrorCode.coordinator_load_in_progress),
        (ErrorCode.coordinator_load_in_progress, 1, ErrorCode.coordinator_not_available),
        (ErrorCode.concurrent_transactions, 6, ErrorCode.concurrent_transactions),
        (ErrorCode.invalid_producer_epoch, 0, ErrorCode.invalid_producer_epoch),
        (ErrorCode.producer_fenced, 6, ErrorCode.invalid_producer_epoch),
        (ErrorCode.invalid_txn_state, 6, ErrorCode.invalid_txn_state),
    ],
)
async def test_clients_are_told_what_they_understand(code: ErrorCode, version: int, told: ErrorCode) -> None:
    around = Surroundings()
    around.told = code
    assert await around.codes(version, partitions=[0, 1]) == [told, ErrorCode.unknown_topic_or_partition]
    assert not around.committed
    around.told, around.refusal = ErrorCode.none, code
    assert await around.codes(version) == [told]
