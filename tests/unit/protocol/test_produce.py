"""How many topics and partitions a Produce request may name, in each of its encodings."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from ottla.protocol.errors import MalformedRequest
from ottla.protocol.produce import decode_produce


def legacy(partitions_of_topics: list[int], *, topics: int | None = None) -> bytes:
    """A request of version 3 to 8."""
    parts = [
        b"\xff\xff",
        struct.pack(">hii", -1, 1000, len(partitions_of_topics) if topics is None else topics),
    ]
    for count in partitions_of_topics:
        parts += (b"\0\1t", struct.pack(">i", count), struct.pack(">ii", 0, -1) * max(count, 0))
    return b"".join(parts)


def flexible(partitions_of_topics: list[int], *, topics: int | None = None) -> bytes:
    """A request of version 9 to 12."""
    head = b"\0" + struct.pack(">hi", -1, 1000)
    parts = [head, bytes([(len(partitions_of_topics) if topics is None else topics) + 1])]
    for count in partitions_of_topics:
        parts += (b"\2t", bytes([count + 1]), (struct.pack(">i", 0) + b"\0\0") * max(count, 0), b"\0")
    return b"".join([*parts, b"\0"])


@pytest.mark.parametrize(("version", "request_"), [(8, legacy), (9, flexible)])
def test_topics_and_partitions_are_bounded_together(version: int, request_: Callable[..., bytes]) -> None:
    def decode(encoded: bytes) -> int:
        return len(decode_produce(version, memoryview(encoded), max_partitions=4).partitions)

    assert decode(request_([2, 2])) == 4
    assert decode(request_([0, 0, 0, 4])) == 4
    assert decode(request_([])) == 0
    for wrong in (
        request_([2, 3]),
        request_([5]),
        request_([0] * 5),
        request_([-1]),
        request_([], topics=-1),
    ):
        with pytest.raises(MalformedRequest, match="at most"):
            decode(wrong)


@pytest.mark.parametrize("version", [3, 8])
def test_a_topic_has_a_name(version: int) -> None:
    nameless = legacy([1]).replace(b"\0\1t", b"\xff\xff", 1)
    with pytest.raises(MalformedRequest, match="null where a string must be"):
        decode_produce(version, memoryview(nameless), max_partitions=4)
