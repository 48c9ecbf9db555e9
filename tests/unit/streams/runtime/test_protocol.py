"""What members tell each other: Kafka Streams' bytes."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.streams.errors import StreamsError
from ottla.streams.runtime.protocol import (
    Assignment,
    Subscription,
    TaskId,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)

PROCESS = UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
IDS = st.builds(TaskId, st.integers(0, 9), st.integers(0, 99))
PARTITIONS = st.lists(st.tuples(st.text(max_size=5), st.integers(0, 9)), max_size=3).map(tuple)
HOSTS = st.dictionaries(st.tuples(st.text(max_size=5), st.integers(0, 65_535)), PARTITIONS, max_size=3)


def test_a_subscription_has_javas_bytes() -> None:
    info = Subscription(PROCESS, {TaskId(0, 1): -2, TaskId(1, 0): 77}, "h:1", 5, {"zone": "z"})
    assert encode_subscription(info).hex() == (
        "0000000b0000000b"
        "000102030405060708090a0b0c0d0e0f"
        "00000003683a31"
        "00000002"
        "0000000000000001fffffffffffffffeffff"
        "0000000100000000000000000000004dffff"
        "05"
        "00000000"
        "00000001000000047a6f6e65000000017a"
    )


def test_an_assignment_has_javas_bytes() -> None:
    info = Assignment(
        (TaskId(0, 1),), {TaskId(0, 2): (("c", 2),)}, {("h", 1): (("t", 1),)}, {("h", 1): (("c", 2),)}, 0, 9
    )
    assert encode_assignment(info).hex() == (
        "0000000b0000000b"
        "00000001000000000000000100000000"
        "00000001000000000000000200000000" + "00000001" + "000163" + "00000002"
        "00000002" + "00000000" + "000174" + "00000001" + "000163"
        "00000001" + "000168" + "00000001" + "00000001" + "00000000" + "00000001"
        "00000001" + "000168" + "00000001" + "00000001" + "00000001" + "00000002"
        "00000000"
        "0000000000000009"
    )


@given(st.dictionaries(IDS, st.integers(-3, 2**40)), st.text(max_size=9), st.integers(-128, 127))
def test_subscriptions_come_back(sums: dict[TaskId, int], endpoint: str, unique: int) -> None:
    info = Subscription(PROCESS, sums, endpoint, unique, {"a": "b"})
    assert decode_subscription(encode_subscription(info)) == info


@given(st.lists(IDS, max_size=5), st.dictionaries(IDS, PARTITIONS, max_size=3), HOSTS, HOSTS)
def test_assignments_come_back(
    active: list[TaskId],
    standby: dict[TaskId, tuple[tuple[str, int], ...]],
    hosts: dict[tuple[str, int], tuple[tuple[str, int], ...]],
    standby_hosts: dict[tuple[str, int], tuple[tuple[str, int], ...]],
) -> None:
    info = Assignment(tuple(active), standby, hosts, standby_hosts, 1, 2)
    assert decode_assignment(encode_assignment(info)) == info


@given(st.binary(max_size=60), st.booleans())
def test_nonsense_is_refused(data: bytes, has_version: bool) -> None:
    if has_version:
        data = b"\0\0\0\x0b\0\0\0\x0b" + data
    for decode in (decode_subscription, decode_assignment):
        try:
            decode(data)
        except StreamsError:
            continue


def test_other_versions_are_refused_with_their_number() -> None:
    with pytest.raises(StreamsError, match=r"of version 12 \(up to 13\)"):
        decode_subscription(b"\0\0\0\x0c\0\0\0\x0d")
