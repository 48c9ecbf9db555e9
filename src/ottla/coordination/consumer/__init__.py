"""Consumer groups: the protocol of KIP-848, in which the coordinator assigns.

Reading order: `member` and `group` are the state, `replay` is what changes it, `heartbeat` is the
protocol's one request. A heartbeat goes through `update`, which uses `target` (what everybody shall own,
by one of the `assignors`) and `reconcile` (one member's next step towards it). `leave` is how members
go, `classic_compat` serves members of the old protocol and `migration` turns groups of one kind into the
other.
"""

from __future__ import annotations

from ottla.coordination.consumer.classic_compat import (
    classic_heartbeat,
    classic_join,
    classic_leave,
    classic_sync,
)
from ottla.coordination.consumer.describe import describe
from ottla.coordination.consumer.group import ConsumerGroup
from ottla.coordination.consumer.heartbeat import consumer_group_heartbeat
from ottla.coordination.consumer.leave import on_timer
from ottla.coordination.consumer.loading import on_loaded
from ottla.coordination.consumer.replay import REPLAYERS

__all__ = [
    "REPLAYERS",
    "ConsumerGroup",
    "classic_heartbeat",
    "classic_join",
    "classic_leave",
    "classic_sync",
    "consumer_group_heartbeat",
    "describe",
    "on_loaded",
    "on_timer",
]
