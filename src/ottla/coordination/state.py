"""The state of one shard, as plain data that the requests' functions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from ottla.coordination.budget import HeartbeatBudget
from ottla.coordination.config import GroupCoordinatorConfig
from ottla.coordination.group import Group
from ottla.coordination.offsets.store import OffsetStore
from ottla.metadata.image import MetadataImage


def _no_group_configs(_group_id: str) -> Mapping[str, str]:
    return {}


@dataclass(slots=True)
class ShardState:
    """Everything that one partition of `__consumer_offsets` holds, and what its decisions depend on."""

    config: GroupCoordinatorConfig
    new_uuid: Callable[[], UUID]
    image: MetadataImage
    group_configs: Callable[[str], Mapping[str, str]] = _no_group_configs
    """The dynamic configuration of a group (KIP-848's GROUP resources), by group id."""
    heartbeat_budget: HeartbeatBudget = field(default_factory=HeartbeatBudget)
    """Shared by all shards of a broker."""
    groups: dict[str, Group] = field(default_factory=dict)
    offsets: OffsetStore = field(default_factory=OffsetStore)
