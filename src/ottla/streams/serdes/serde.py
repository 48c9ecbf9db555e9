"""What a serde is."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Serde(Protocol[T]):
    """Makes bytes of values and values of bytes, for a topic. None is None both ways: no key, a tombstone.

    Raises SerializationError for a value that it does not take, and for bytes that are none of its own.
    """

    def serialize(self, topic: str, value: T | None) -> bytes | None: ...

    def deserialize(self, topic: str, data: bytes | None) -> T | None: ...
