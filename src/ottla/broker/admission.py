"""Which batches of a Produce request may be written, as far as transactions are concerned (KIP-890).

The first batch of a transaction in a partition has to wait until the transaction's coordinator has added the
partition to it (from version 12 on), or confirms that its producer did.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from ottla.broker.services import RecordServices
from ottla.coordination.runtime import Producer
from ottla.coordinator.shards import Answered, following, settled, unless_refused
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.produce import PartitionData, ProduceRequest
from ottla.records.batch import HEADER_SIZE, TRANSACTIONAL_MASK, BatchHeader, parse_header
from ottla.replica.partition import Partition
from ottla.storage.verification import EXEMPT, Verification

_FIRST_ABORTABLE: Final = 11
"""From this version of Produce on clients know TRANSACTION_ABORTABLE."""
_FIRST_ADDING: Final = 12
"""From this version of Produce on the partition is added to the transaction (transaction version 2)."""
_ATTRIBUTES_LOW_BYTE: Final = 22
_SOON_AGAIN: Final = frozenset(
    {
        ErrorCode.network_exception,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.coordinator_not_available,
        ErrorCode.not_coordinator,
    }
)
"""A producer would look for another leader of its partition, or give up; it just has to try again."""


_Codes: TypeAlias = Mapping[int, ErrorCode]
"""What the coordinator says of each batch, by the number of its partition in the request."""


class Admission(NamedTuple):
    """By the number of a partition in its request: why it is refused, or what it is to be written with where
    somebody had to be asked.
    """

    refused: Mapping[int, KafkaError]
    verifications: Mapping[int, Verification]


class _Waiting(NamedTuple):
    """A transactional batch in a partition that is here."""

    number: int
    partition: Partition
    header: BatchHeader


def partition_of(services: RecordServices, topic: str | None, topic_id: UUID | None, index: int) -> Partition:
    """By its topic's name or id, as the request's version has it. Raises KafkaError."""
    if topic is not None:
        return services.partitions.get(topic, index)
    return services.partitions.get_by_id(topic_id, index)


def is_transactional(data: PartitionData) -> bool:
    """Whether a partition's records look like a transactional batch; nothing of them is checked yet."""
    records = data.records
    if records is None or len(records) < HEADER_SIZE:
        return False
    attributes: int = records[_ATTRIBUTES_LOW_BYTE]
    return attributes & TRANSACTIONAL_MASK != 0


def admit(
    services: RecordServices, produce: ProduceRequest, version: int, now_ms: int
) -> Admission | Awaitable[Admission]:
    """What of a request with transactional batches may be written; the wait for it where somebody must be
    asked."""
    everything = range(len(produce.partitions))
    if produce.transactional_id is None:
        return _all_refused(everything, ErrorCode.transactional_id_authorization_failed)
    waiting = list(_waiting(services, produce))
    producers = {Producer(each.header.producer_id, each.header.producer_epoch) for each in waiting}
    if len(producers) > 1:
        return _all_refused(everything, ErrorCode.invalid_producer_id_mapping)
    config = services.config.value
    is_verified = config.transaction_partition_verification_enable
    exempt: dict[int, Verification] = {} if is_verified else dict.fromkeys(everything, EXEMPT)
    if not waiting or (version < _FIRST_ADDING and not is_verified):
        return Admission({}, exempt)
    admission = _Admission(services, produce.transactional_id, version, producers.pop(), waiting)
    admission.begin(now_ms)
    return admission.ask(now_ms, exempt) if admission.guards else Admission(admission.refused, exempt)


def _all_refused(numbers: Iterable[int], code: ErrorCode) -> Admission:
    return Admission(dict.fromkeys(numbers, KafkaError(code)), {})


def _waiting(services: RecordServices, produce: ProduceRequest) -> Iterable[_Waiting]:
    for number, data in enumerate(produce.partitions):
        if not is_transactional(data) or data.records is None:
            continue
        header = parse_header(data.records)
        if not header.has_producer_id:
            continue
        try:
            partition = partition_of(services, data.topic, data.topic_id, data.partition)
        except KafkaError:
            continue  # the append will say so
        yield _Waiting(number, partition, header)


class _Admission:
    """The batches of one producer on their way to be admitted."""

    def __init__(
        self,
        services: RecordServices,
        transactional_id: str,
        version: int,
        producer: Producer,
        waiting: list[_Waiting],
    ) -> None:
        self._services = services
        self._transactional_id = transactional_id
        self._version = version
        self._producer = producer
        self._waiting = waiting
        self.refused: dict[int, KafkaError] = {}
        self.guards: dict[int, Verification] = {}
        """Of the batches whose transaction has to be asked about."""

    @property
    def _adds_partitions(self) -> bool:
        return self._version >= _FIRST_ADDING

    def begin(self, now_ms: int) -> None:
        """Leave the guards."""
        self.guards.clear()
        for number, partition, header in self._waiting:
            try:
                guard = partition.begin_verification(
                    header.producer_id,
                    header.producer_epoch,
                    header.base_sequence,
                    now_ms,
                    adds_partition=self._adds_partitions,
                )
            except KafkaError as error:
                self.refused[number] = KafkaError(error.code)
                continue
            if guard is not None:
                self.guards[number] = guard

    def ask(self, now_ms: int, exempt: Mapping[int, Verification]) -> Admission | Awaitable[Admission]:
        """Ask the coordinator; while the last transaction is still ending, for a short while again."""
        codes = self._ask_once()
        if isinstance(codes, Awaitable) or self._is_ending(codes):
            return self._ask_on(codes, now_ms, exempt)
        return self._answered(codes, exempt)

    async def _ask_on(
        self, answered: Answered[_Codes], now_ms: int, exempt: Mapping[int, Verification]
    ) -> Admission:
        config = self._services.config.value
        clock = asyncio.get_running_loop().time
        retries_end = clock() + config.add_partitions_to_txn_retry_backoff_max_ms / 1000
        codes = await settled(answered)
        while self._is_ending(codes) and clock() < retries_end:
            await self._await_end(config.add_partitions_to_txn_retry_backoff_ms)
            self.begin(now_ms)
            codes = await settled(self._ask_once()) if self.guards else {}
        return self._answered(codes, exempt)

    def _is_ending(self, codes: _Codes) -> bool:
        return self._adds_partitions and ErrorCode.concurrent_transactions in codes.values()

    def _answered(self, codes: _Codes, exempt: Mapping[int, Verification]) -> Admission:
        for number, partition, header in self._waiting:
            code = codes.get(number, ErrorCode.none)
            if code:
                self.refused[number] = self._told(code)
                if code not in _SOON_AGAIN and code != ErrorCode.concurrent_transactions:
                    producers = partition.log.producer_state
                    guard = self.guards[number]
                    producers.verification_refused(header.producer_id, header.producer_epoch, guard)
        return Admission(self.refused, exempt or dict(self.guards))

    async def _await_end(self, max_wait_ms: int) -> None:
        with contextlib.suppress(KafkaError):  # who asks again will be told
            await self._services.transactions.await_end(self._transactional_id, max_wait_ms)

    def _ask_once(self) -> Answered[_Codes]:
        asked = {
            number: (partition.topic, partition.index)
            for number, partition, _ in self._waiting
            if number in self.guards
        }

        def ask() -> Answered[_Codes]:
            answered = self._services.transactions.add_partitions(
                self._transactional_id,
                self._producer,
                list(dict.fromkeys(asked.values())),
                verify_only=not self._adds_partitions,
            )
            return following(answered, lambda codes: {number: codes[key] for number, key in asked.items()})

        return unless_refused(ask, lambda error: dict.fromkeys(asked, error.code))

    def _told(self, code: ErrorCode) -> KafkaError:
        """What a client of the request's version understands of a coordinator's refusal."""
        if code == ErrorCode.producer_fenced:
            code = ErrorCode.invalid_producer_epoch
        elif code == ErrorCode.transaction_abortable and self._version < _FIRST_ABORTABLE:
            code = ErrorCode.invalid_txn_state
        if code == ErrorCode.invalid_txn_state:
            return KafkaError(code, "The partition was not added to the transaction")
        is_ending = code == ErrorCode.concurrent_transactions and not self._adds_partitions
        if code in _SOON_AGAIN or is_ending:
            return KafkaError(
                ErrorCode.not_enough_replicas,
                f"The transaction's coordinator could not say whether it has the partition: {code.name}",
            )
        return KafkaError(code)
