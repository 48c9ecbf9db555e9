"""What a transactional producer says to its coordinator, and to the coordinator of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ottla.client.core.batches import NO_IDENTITY, Identity
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.client.core.offsets import Identity as Member
from ottla.client.core.transactions import FEATURE, FIRST_IMPLICIT, Transactions, Verdict
from ottla.client.errors import ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from ottla.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from ottla.protocol.structs import Struct

R = TypeVar("R", bound=Struct)

_LAST_ADD_OF_CLIENTS: Final = 3
"""AddPartitionsToTxn above it is for brokers."""
_LAST_END_WITHOUT_EPOCHS: Final = 4
_LAST_EXPLICIT_OFFSETS: Final = 4
_LAST_OFFSETS_WITHOUT_TOPIC_IDS: Final = 5


class TransactionCoordinator:
    """Carries what `transactions` decides; each call is tried again until its time is over."""

    def __init__(self, cluster: Cluster, transactions: Transactions, timeout_ms: int) -> None:
        self._cluster = cluster
        self.transactions = transactions
        self._timeout_ms = timeout_ms

    async def initialize(self, transaction_timeout_ms: int) -> Identity:
        """Get an identity, the next epoch of one that there is, which fences older instances and ends what
        they left open.
        """
        old = self.transactions.identity
        request = InitProducerIdRequest(
            transactional_id=self.transactions.transactional_id,
            transaction_timeout_ms=transaction_timeout_ms,
            producer_id=old.producer_id,
            producer_epoch=old.epoch,
        )
        needed = None if old == NO_IDENTITY else 3
        response = await self._ask(
            request, InitProducerIdResponse, lambda answer: answer.error_code, min_version=needed
        )
        identity = Identity(response.producer_id, response.producer_epoch)
        self.transactions.initialized(identity)
        return identity

    async def speaks_implicit(self) -> bool:
        """Whether the cluster has finalized the second protocol."""
        node = await self._coordinator()
        connection = await self._cluster.connection(node)
        return connection.versions.features.get(FEATURE, 0) >= FIRST_IMPLICIT

    async def add_partitions(self, partitions: list[tuple[str, int]]) -> None:
        topics: dict[str, list[int]] = {}
        for topic, partition in partitions:
            topics.setdefault(topic, []).append(partition)
        identity = self.transactions.identity
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactions.transactional_id,
            v3_and_below_producer_id=identity.producer_id,
            v3_and_below_producer_epoch=identity.epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=name, partitions=numbers) for name, numbers in topics.items()
            ],
        )

        def error_of(answer: AddPartitionsToTxnResponse) -> int:
            codes = [
                each.partition_error_code
                for topic in answer.results_by_topic_v3_and_below
                for each in topic.results_by_partition
            ]
            return _worst(codes)

        await self._ask(request, AddPartitionsToTxnResponse, error_of, max_version=_LAST_ADD_OF_CLIENTS)
        self.transactions.added(partitions)

    async def send_offsets(self, offsets: Mapping[TopicPartition, CommittedOffset], member: Member) -> None:
        """Make these offsets of a group part of the transaction."""
        transactions = self.transactions
        identity = transactions.identity
        if transactions.needs_group(member.group_id):
            adding = AddOffsetsToTxnRequest(
                transactional_id=transactions.transactional_id,
                producer_id=identity.producer_id,
                producer_epoch=identity.epoch,
                group_id=member.group_id,
            )
            await self._ask(adding, AddOffsetsToTxnResponse, lambda answer: answer.error_code)
            transactions.group_added(member.group_id)
        topics: dict[str, list[TxnOffsetCommitRequestPartition]] = {}
        for (topic, partition), committed in offsets.items():
            topics.setdefault(topic, []).append(
                TxnOffsetCommitRequestPartition(
                    partition_index=partition,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.epoch,
                    committed_metadata=committed.metadata,
                )
            )
        transactions.offsets_sent()
        await self._ask(
            TxnOffsetCommitRequest(
                transactional_id=transactions.transactional_id,
                group_id=member.group_id,
                producer_id=identity.producer_id,
                producer_epoch=identity.epoch,
                generation_id_or_member_epoch=member.generation,
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                topics=[
                    TxnOffsetCommitRequestTopic(name=name, partitions=partitions)
                    for name, partitions in topics.items()
                ],
            ),
            TxnOffsetCommitResponse,
            lambda answer: _worst([each.error_code for topic in answer.topics for each in topic.partitions]),
            group_id=member.group_id,
            min_version=None if member.generation < 0 else 3,
            max_version=_LAST_OFFSETS_WITHOUT_TOPIC_IDS
            if transactions.is_implicit
            else _LAST_EXPLICIT_OFFSETS,
        )

    async def end(self, *, committed: bool) -> None:
        """Commit or abort at the coordinator, where it knows of the transaction at all."""
        transactions = self.transactions
        if not transactions.must_be_ended:
            transactions.ended()
            return
        request = EndTxnRequest(
            transactional_id=transactions.transactional_id,
            producer_id=transactions.identity.producer_id,
            producer_epoch=transactions.identity.epoch,
            committed=committed,
        )
        transactions.end_asked()
        response = await self._ask(
            request,
            EndTxnResponse,
            lambda answer: answer.error_code,
            max_version=None if transactions.is_implicit else _LAST_END_WITHOUT_EPOCHS,
        )
        transactions.ended(Identity(response.producer_id, response.producer_epoch))

    async def _coordinator(self) -> int:
        return await self._cluster.coordinator(
            CoordinatorKind.TRANSACTION, self.transactions.transactional_id, timeout_ms=self._timeout_ms
        )

    async def _ask(
        self,
        request: Struct,
        response_class: type[R],
        error_of: Callable[[R], int],
        *,
        group_id: str | None = None,
        min_version: int | None = None,
        max_version: int | None = None,
    ) -> R:
        """The answer without an error, from the transaction's coordinator or a group's. Others change the
        state of the transaction, and are raised.
        """
        kind = CoordinatorKind.TRANSACTION if group_id is None else CoordinatorKind.GROUP
        key = self.transactions.transactional_id if group_id is None else group_id

        async def attempt() -> R:
            try:
                node = await self._cluster.coordinator(kind, key, timeout_ms=self._timeout_ms)
                response = await self._cluster.send(
                    request, response_class, node=node, min_version=min_version, max_version=max_version
                )
            except ClientError as error:
                if error.needs_refresh:
                    self._cluster.forget_coordinator(kind, key)
                raise
            code = error_of(response)
            if code:
                self._refused(code, kind, key)
            return response

        return await self._cluster.retrying(attempt, timeout_ms=self._timeout_ms)

    def _refused(self, code: int, kind: CoordinatorKind, key: str) -> None:
        error = broker_error(code, what=f"{kind.name.lower()} {key}")
        verdict = self.transactions.verdict(code)
        if verdict is Verdict.FIND_COORDINATOR:
            self._cluster.forget_coordinator(kind, key)
        elif verdict is Verdict.ABORT:
            self.transactions.failed(error)
            error.retriable = False
        elif verdict is Verdict.FATAL:
            self.transactions.finish(error)
            error.retriable = False
        raise error


def _worst(codes: list[int]) -> int:
    """What decides of several: what ends the transaction before what passes."""
    return max(codes, key=lambda code: _RANKS.get(code, len(_RANKS)), default=0)


_RANKS: Final[Mapping[int, int]] = {
    code: rank
    for rank, code in enumerate(
        (
            ErrorCode.none,
            ErrorCode.operation_not_attempted,
            ErrorCode.concurrent_transactions,
            ErrorCode.coordinator_load_in_progress,
            ErrorCode.coordinator_not_available,
            ErrorCode.not_coordinator,
            ErrorCode.unknown_topic_or_partition,
            ErrorCode.unknown_topic_id,
            ErrorCode.request_timed_out,
        )
    )
}
