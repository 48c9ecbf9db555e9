"""What a producer has for one partition, in order."""

from __future__ import annotations

from collections import deque

from ottla.client.core.batches import NO_IDENTITY, Batch


class PartitionQueue:
    """One partition's batches."""

    __slots__ = (
        "failures",
        "identity",
        "in_flight",
        "needs_epoch",
        "not_before",
        "partition",
        "sequence",
        "topic",
        "waiting",
    )

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[Batch] = deque()
        self.in_flight: list[Batch] = []
        self.identity = NO_IDENTITY
        self.sequence = 0
        """The next number of `identity`"""
        self.needs_epoch = False
        self.not_before = 0.0
        self.failures = 0

    def is_first(self, batch: Batch) -> bool:
        """Whether all that was sent before it is over."""
        others = (*self.in_flight, *self.waiting)
        return not any(0 <= other.order < batch.order for other in others)

    def put_back(self, *batches: Batch) -> None:
        """Back to where it was: before all that was sent later or never."""
        at = 0
        while at < len(self.waiting) and 0 <= self.waiting[at].order < batches[0].order:
            at += 1
        for place, batch in enumerate(batches):
            self.waiting.insert(at + place, batch)
