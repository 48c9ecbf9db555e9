"""What ends a transaction in the partitions that it wrote to, and how the coordinator has it written."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ottla.coordination.runtime import Producer
from ottla.protocol.errors import ErrorCode

TopicPartition: TypeAlias = tuple[str, int]
"""Topic name and number."""


class TxnMarker(NamedTuple):
    """One transaction's end: a control record in each of its partitions, as WriteTxnMarkers carries it."""

    producer: Producer
    committed: bool
    partitions: Sequence[TopicPartition]
    coordinator_epoch: int
    """The leader epoch of the coordinator's partition; a lower one than a partition has seen is refused."""
    transaction_version: int
    """From 2 on the epoch must be above that of the transaction's records (KIP-890, KIP-1228)."""


class DueMarker(NamedTuple):
    """A marker to be written, and which transaction it ends."""

    transactional_id: str
    marker: TxnMarker


MarkerResults: TypeAlias = Sequence[Mapping[TopicPartition, ErrorCode]]
"""What became of each marker in each of its partitions."""


class MarkerWriter(Protocol):
    """Writes markers to the leaders of partitions."""

    def write_markers(self, markers: Sequence[TxnMarker]) -> MarkerResults | Awaitable[MarkerResults]:
        """Told once they are committed as for acks=all: now, or by what is to be awaited."""
