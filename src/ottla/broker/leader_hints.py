"""Who leads instead: what clients are told with errors of Produce and Fetch, so as not to ask (KIP-951)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ottla.broker.cluster_view import broker_at
from ottla.protocol.produce import NodeEndpoint

if TYPE_CHECKING:
    from ottla.broker.services import RecordServices

FIRST_PRODUCE: Final = 10
FIRST_FETCH: Final = 16
"""Versions that have room for it"""


def current_leader(
    services: RecordServices, topic: str | UUID | None, partition: int
) -> tuple[int, int] | None:
    """Leader and leader epoch by what the cluster knows, of a topic's name or id; None where nobody leads."""
    image = services.metadata.image
    if topic is None:
        return None
    found = image.topics.get(topic) if isinstance(topic, str) else image.topics_by_id.get(topic)
    if found is None or not 0 <= partition < len(found.partitions):
        return None
    state = found.partitions[partition]
    return None if state.leader < 0 else (state.leader, state.leader_epoch)


def endpoints(services: RecordServices, listener: str, node_ids: Iterable[int]) -> list[NodeEndpoint]:
    """Where those brokers are found by who came to `listener`."""
    image = services.metadata.image
    found = [broker_at(image, node_id, listener) for node_id in node_ids]
    return [NodeEndpoint(each.node_id, each.host, each.port, each.rack) for each in found if each is not None]
