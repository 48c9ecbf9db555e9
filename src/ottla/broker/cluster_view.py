"""The cluster as a client of one listener sees it: which brokers it can reach there, and who leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ottla.metadata.image import MetadataImage
from ottla.metadata.model import NO_LEADER, PartitionState, Topic
from ottla.protocol.errors import ErrorCode

NO_NODE = -1


class BrokerAt(NamedTuple):
    """A broker, where clients of a listener find it."""

    node_id: int
    host: str
    port: int
    rack: str | None
    is_fenced: bool


def brokers_at(image: MetadataImage, listener: str, *, with_fenced: bool = False) -> list[BrokerAt]:
    """Those that are advertised there, by their ids; with those that are gone, too, if asked for, or if all
    are: their leases end together when the store was away for long, and librdkafka takes a cluster without
    brokers for one that it need not ask again.
    """
    known = [
        BrokerAt(node_id, endpoint.host, endpoint.port, broker.rack, image.is_fenced(node_id))
        for node_id, broker in sorted({**image.known_brokers, **image.brokers}.items())
        if (endpoint := broker.listeners.get(listener)) is not None
    ]
    if with_fenced:
        return known
    return [each for each in known if not each.is_fenced] or known


def broker_at(image: MetadataImage, node_id: int, listener: str) -> BrokerAt | None:
    """One of them, if it is not fenced."""
    broker = image.brokers.get(node_id)
    endpoint = None if broker is None else broker.listeners.get(listener)
    if broker is None or endpoint is None or image.is_fenced(node_id):
        return None
    return BrokerAt(node_id, endpoint.host, endpoint.port, broker.rack, is_fenced=False)


def controller_in(image: MetadataImage, own_id: int) -> int:
    """The controller's id, NO_NODE while there is none. A single node is its own."""
    if image.controller is not None:
        return image.controller.node_id
    own = image.brokers.get(own_id)
    return NO_NODE if own is not None and own.is_fenced else own_id


def leader_at(image: MetadataImage, state: PartitionState, listener: str) -> tuple[int, ErrorCode]:
    """A partition's leader as clients of the listener are told of it, or why they cannot be."""
    if state.leader != NO_LEADER and broker_at(image, state.leader, listener) is not None:
        return state.leader, ErrorCode.none
    is_elsewhere = state.leader in image.brokers
    return NO_LEADER, ErrorCode.listener_not_found if is_elsewhere else ErrorCode.leader_not_available


def offline_replicas(image: MetadataImage, topic: Topic, partition: int) -> Sequence[int]:
    """Those on brokers that are fenced, or that cannot use its log."""
    offline = image.brokers_without(topic, partition)
    return [
        node_id
        for node_id in topic.partitions[partition].replicas
        if node_id in offline or image.is_fenced(node_id)
    ]
