"""Makes this broker known to its cluster."""

from __future__ import annotations

from ottla.metadata import model
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import OutcomeUnknownError, Store, StoreError


async def register(store: Store, registration: BrokerRegistration) -> None:
    """Write it; the same once more changes nothing but its revision.

    Raises KafkaError(kafka_storage_error) when the store takes no change.
    """
    put = Put(model.broker_key(registration.node_id), model.encode_broker(registration))
    while True:
        try:
            await store.transaction(Transaction(writes=(put,)))
        except OutcomeUnknownError:
            continue
        except StoreError as error:
            raise KafkaError(ErrorCode.kafka_storage_error, f"cannot write the metadata: {error}") from error
        return
