"""What can go wrong in an application, as one family: catch `StreamsError`."""

from __future__ import annotations

from typing import Final

__all__ = [
    "DeserializationError",
    "ProcessingError",
    "ProductionError",
    "RecordError",
    "SerializationError",
    "StateStoreError",
    "StreamsError",
    "TopologyError",
]


class StreamsError(Exception):
    """Something failed, and the text says what and where."""


class TopologyError(StreamsError, ValueError):
    """A topology that cannot run: said when it is built, with the node and what is wrong with it."""


class SerializationError(StreamsError, ValueError):
    """A serde that does not take a value, or bytes that are none of its own."""


class StateStoreError(StreamsError):
    """A state store that cannot be opened, read or written."""


class RecordError(StreamsError):
    """Something failed for one record of the input: which one, and at which node of the topology."""

    def __init__(self, what: str, *, topic: str | None, partition: int, offset: int, node: str) -> None:
        where = "a punctuation" if topic is None else f"{topic}-{partition} at offset {offset}"
        super().__init__(f"{what} (node {node}, {where})")
        self.topic: Final = topic
        """None where no record of the input is being processed: in a punctuation."""
        self.partition: Final = partition
        self.offset: Final = offset
        self.node: Final = node


class DeserializationError(RecordError):
    """A record of the input that its serdes cannot read."""


class ProcessingError(RecordError):
    """A function or a processor that raised."""


class ProductionError(RecordError):
    """A record that could not be serialized for its topic, or not be written to it."""
