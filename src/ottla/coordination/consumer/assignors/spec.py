"""What an assignor reads and what it answers.

An assignor is a pure function `(members, partition_counts) -> assignment` (KIP-848, "Server-side assignor"):

- `members` maps a member id to its `MemberSpec`;
- `partition_counts` has every topic that some member is subscribed to;
- the answer has every member of `members`, those that get nothing included.

The same input gives the same answer, whatever the order of the mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from uuid import UUID

Partitions = Mapping[UUID, AbstractSet[int]]
"""Topic id -> partitions. No topic maps to an empty set."""

Assignment = dict[str, Partitions]
"""Member id -> what it shall own."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One member as an assignor sees it.

    `topic_ids` holds existing topics only. `target` is the last assignment computed for the member, which
    a sticky assignor preserves where it can; it may name topics that are gone or no longer subscribed.
    """

    topic_ids: frozenset[UUID]
    target: Partitions = field(default_factory=dict)
    instance_id: str | None = None


Assignor = Callable[[Mapping[str, MemberSpec], Mapping[UUID, int]], Assignment]


def is_homogeneous(members: Mapping[str, MemberSpec]) -> bool:
    """Whether all members are subscribed to the same topics."""
    specs = iter(members.values())
    first = next(specs, None)
    return first is None or all(spec.topic_ids == first.topic_ids for spec in specs)
