"""Forgetting a broker that will not come back."""

from __future__ import annotations

from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Plan, Step
from ottla.metadata.transaction import Compare, Delete, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError


def unregister_broker(image: MetadataImage, node_id: int) -> Plan[int, None]:
    """Nothing is placed on it any more, and nobody is told of it; replicas that it had stay its own until
    they are moved.

    Raises KafkaError: broker_id_not_registered, invalid_request for one that is alive.
    """
    if node_id in image.brokers:
        raise KafkaError(ErrorCode.invalid_request, "A broker that is alive cannot be unregistered.")
    known = image.known_brokers.get(node_id)
    if known is None:
        raise KafkaError(ErrorCode.broker_id_not_registered, f"Broker ID {node_id} is not registered.")
    forget = Transaction(
        compares=(
            Compare.absent(model.broker_key(node_id)),
            Compare.unchanged(model.known_broker_key(node_id), known.epoch),
        ),
        writes=(
            Delete(model.known_broker_key(node_id)),
            Delete(model.unfenced_key(node_id)),
            Delete(model.log_dirs_key(node_id)),
            Delete(model.cordoned_key(node_id)),
        ),
    )
    return Plan((Step(forget, (node_id,)),), {node_id: None})
