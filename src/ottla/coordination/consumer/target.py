"""The target assignment: what every member shall own in a group epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from uuid import UUID

from ottla.coordination.consumer.assignors import ASSIGNORS, Assignment, MemberSpec, Partitions
from ottla.coordination.consumer.group import ResolvedRegex
from ottla.coordination.consumer.member import ConsumerGroupMember
from ottla.coordination.consumer.topics import partition_counts, subscribed_topic_ids
from ottla.metadata.image import MetadataImage


def preferred_assignor(members: Iterable[ConsumerGroupMember], supported: tuple[str, ...]) -> str:
    """What most members ask for; the first supported one where nobody asks, and in a tie the earlier one."""
    wishes = Counter(member.metadata.server_assignor for member in members)
    return max(supported, key=lambda name: wishes[name])


def compute_target(
    assignor: str,
    image: MetadataImage,
    members: Mapping[str, ConsumerGroupMember],
    last_target: Mapping[str, Partitions],
    resolved: Mapping[str, ResolvedRegex],
) -> Assignment:
    """The next target for these members, every one of them included."""
    known: dict[tuple[frozenset[str], str], frozenset[UUID]] = {}
    specs: dict[str, MemberSpec] = {}
    for member_id, member in members.items():
        metadata = member.metadata
        subscription = (metadata.subscribed_topic_names, metadata.subscribed_topic_regex)
        if subscription not in known:
            known[subscription] = subscribed_topic_ids(image, metadata, resolved)
        specs[member_id] = MemberSpec(
            known[subscription], last_target.get(member_id, {}), metadata.instance_id
        )
    counts = partition_counts(image, frozenset().union(*known.values()))
    return ASSIGNORS[assignor](specs, counts)
