"""What goes in and out of the partitions of each topic: counted by those who do it, read by the metrics."""

from __future__ import annotations

from typing import Final

_COUNTS: Final = (
    "bytes_in",
    "bytes_out",
    "bytes_rejected",
    "failed_fetches",
    "failed_produces",
    "fetches",
    "messages_in",
    "produces",
    "replication_bytes_in",
    "replication_bytes_out",
)


class TopicTraffic:
    """Counts since the topic came to this broker. Times that a partition was asked for, bytes of batches."""

    __slots__ = _COUNTS

    def __init__(self) -> None:
        self.messages_in = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.bytes_rejected = 0
        """Of batches that are larger than `max.message.bytes`"""
        self.produces = 0
        self.failed_produces = 0
        self.fetches = 0
        self.failed_fetches = 0
        self.replication_bytes_in = 0
        self.replication_bytes_out = 0

    def add(self, other: TopicTraffic) -> None:
        """Count what another one has counted, too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Traffic:
    """Of all topics that are here."""

    def __init__(self) -> None:
        self.by_topic: dict[str, TopicTraffic] = {}
        self.elsewhere = TopicTraffic()
        """Of what is not here, or not any more: a sum that never goes back"""

    def of(self, topic: str) -> TopicTraffic:
        """Where a topic's is counted."""
        found = self.by_topic.get(topic)
        if found is None:
            found = self.by_topic[topic] = TopicTraffic()
        return found

    def at(self, topic: str) -> TopicTraffic:
        """Where that of a topic is counted which may not be here."""
        return self.by_topic.get(topic, self.elsewhere)

    def forget(self, topic: str) -> None:
        """It was deleted; what was counted stays in the sum of all."""
        gone = self.by_topic.pop(topic, None)
        if gone is not None:
            self.elsewhere.add(gone)

    def total(self) -> TopicTraffic:
        """All together."""
        total = TopicTraffic()
        for each in (self.elsewhere, *self.by_topic.values()):
            total.add(each)
        return total
