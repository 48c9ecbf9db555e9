"""The server-side assignors of KIP-848, by the name that a member asks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ottla.coordination.consumer.assignors.range import assign_range
from ottla.coordination.consumer.assignors.spec import Assignment, Assignor, MemberSpec, Partitions
from ottla.coordination.consumer.assignors.uniform import assign_uniform

ASSIGNORS: Mapping[str, Assignor] = MappingProxyType({"uniform": assign_uniform, "range": assign_range})

__all__ = [
    "ASSIGNORS",
    "Assignment",
    "Assignor",
    "MemberSpec",
    "Partitions",
    "assign_range",
    "assign_uniform",
]
