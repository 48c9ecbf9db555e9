"""A member of a classic group."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from ottla.coordination.effects import RequestInfo

Protocols: TypeAlias = dict[str, bytes]
"""Protocol name to the member's metadata, in the member's order of preference."""


@dataclass(slots=True)
class ClassicMember:
    """Timeouts are milliseconds. A parked request is the one that waits for the round to end."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocol_type: str
    protocols: Protocols
    assignment: bytes = b""
    parked_join: RequestInfo | None = None
    parked_sync: RequestInfo | None = None
    is_new: bool = False
    """Added by a join that is still parked: it expires although it waits (Kafka's new-member timeout)."""

    @property
    def is_static(self) -> bool:
        return self.group_instance_id is not None

    @property
    def has_satisfied_heartbeat(self) -> bool:
        """Whoever waits for us is alive."""
        return not self.is_new and (self.parked_join is not None or self.parked_sync is not None)

    def matches(self, protocols: Protocols) -> bool:
        """Same protocols, metadata and order: a rejoin that changes nothing."""
        return list(self.protocols.items()) == list(protocols.items())

    def vote(self, candidates: Collection[str]) -> str:
        """The member's favourite among protocols that every member supports."""
        return next(name for name in self.protocols if name in candidates)
