"""Gives each producer of the cluster an id of its own (KIP-98)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ottla.metadata import model
from ottla.metadata.producer_ids import allocate_producer_ids
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import OutcomeUnknownError, Store, StoreError, read_key

_ATTEMPTS = 20
"""All brokers of a cluster may ask for a block at once, and one at a time gets it."""


class ProducerIds:
    """Hands out the ids of a block, then takes the next one: a compare-and-swap on one key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._block: Iterator[int] = iter(())

    async def next_producer_id(self) -> int:
        """An id that no producer of this cluster has had.

        Raises KafkaError: kafka_storage_error, coordinator_load_in_progress (to be tried again).
        """
        async with self._lock:
            producer_id = next(self._block, None)
            if producer_id is None:
                self._block = await self._take_block()
                producer_id = next(self._block)
            return producer_id

    async def _take_block(self) -> Iterator[int]:
        try:
            for _ in range(_ATTEMPTS):
                _revision, stored = await read_key(self._store, model.PRODUCER_IDS)
                transaction, block = allocate_producer_ids(stored)
                try:
                    if (await self._store.transaction(transaction)).committed:
                        return iter(range(block.first, block.first + block.size))
                except OutcomeUnknownError:
                    pass  # Nobody uses that block then: another broker may have got the same.
        except StoreError as error:
            raise KafkaError(ErrorCode.kafka_storage_error, f"cannot write the metadata: {error}") from error
        raise KafkaError(ErrorCode.coordinator_load_in_progress)
