"""Makes this broker known to its cluster, and what it has."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.metadata import model
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import OutcomeUnknownError, Store, StoreError


async def register(store: Store, registration: BrokerRegistration) -> None:
    """Write it; the same once more changes nothing but its revision.

    Raises KafkaError(kafka_storage_error) when the store takes no change.
    """
    node_id, value = registration.node_id, model.encode_broker(registration)
    await _write(store, Put(model.broker_key(node_id), value), Put(model.known_broker_key(node_id), value))


async def note_log_dirs(store: Store, node_id: int, directory_ids: Sequence[str]) -> None:
    """Write down in which data folders the broker's replicas may lie; as `register`."""
    await _write(store, Put(model.log_dirs_key(node_id), model.encode_log_dirs(directory_ids)))


async def _write(store: Store, *puts: Put) -> None:
    while True:
        try:
            await store.transaction(Transaction(writes=puts))
        except OutcomeUnknownError:
            continue
        except StoreError as error:
            raise KafkaError(ErrorCode.kafka_storage_error, f"cannot write the metadata: {error}") from error
        return
