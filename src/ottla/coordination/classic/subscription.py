"""The consumer protocol's subscription, as far as the coordinator looks into it (KIP-211)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")


def subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """The union of the members' topics; None where one subscription can't be read.

    Version 0 is a prefix of every later version: a version, then an array of topic names.
    """
    topics: set[str] = set()
    for subscription in subscriptions:
        try:
            topics.update(_topics(subscription))
        except (struct.error, ValueError):
            return None
    return frozenset(topics)


def _topics(subscription: bytes) -> list[str]:
    version = _INT16.unpack_from(subscription, 0)[0]
    if version < 0:
        raise ValueError(f"version {version}")
    count = _INT32.unpack_from(subscription, 2)[0]
    if not 0 <= count <= len(subscription):
        raise ValueError(f"{count} topics in {len(subscription)} bytes")
    position = 6
    topics: list[str] = []
    for _ in range(count):
        size = _INT16.unpack_from(subscription, position)[0]
        start = position + 2
        position = start + size
        if size < 0 or position > len(subscription):
            raise ValueError(f"a topic name of {size} bytes")
        topics.append(str(subscription[start:position], "utf-8"))
    return topics
