"""Topics and their partitions."""

from __future__ import annotations

from ottla.broker.request import RequestContext
from ottla.broker.rights import may
from ottla.protocol.codes import Operation, ResourceType


def may_create(context: RequestContext, name: str) -> bool:
    """Whether the client may create topics, or this one."""
    return may(context, Operation.CREATE, ResourceType.CLUSTER, is_asked_for=False) or may(
        context, Operation.CREATE, ResourceType.TOPIC, name
    )
