"""What foreign-key joins write to their topics."""

from __future__ import annotations

import pytest

from ottla.streams import Long, StreamsBuilder, Text, TopologyTest
from ottla.streams.errors import SerializationError
from ottla.streams.processors.foreign_keys import (
    ForeignKeySerdes,
    Instruction,
    Response,
    ResponseSerde,
    Subscription,
    SubscriptionSerde,
)
from ottla.streams.processors.murmur3 import hash128

SERDES = ForeignKeySerdes("t", Text(), Text(), Long())


@pytest.mark.parametrize(
    ("text", "one", "two"),
    [
        ("21", 5857341059704281894, -5288187638297930763),
        ("foobar", -351361463397418609, 8959716011862540668),
        ("a-little-bit-long-string", 8836256500583638442, -198172363548498523),
        ("a-little-bit-longer-string", 1838346159335108511, 8794688210320490705),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -4024021876037397259, -1482317706335141238),
        ("abc", 1489494923063836066, -5440978547625122829),
    ],
)
def test_hashes_are_java_s(text: str, one: int, two: int) -> None:
    """The values are those of Hive's tests, which Kafka has too."""
    assert hash128(text.encode(), 123) == one.to_bytes(8, signed=True) + two.to_bytes(8, signed=True)


def test_subscriptions() -> None:
    serde = SubscriptionSerde(SERDES)
    hashed = bytes(range(16))
    asked = Subscription(hashed, Instruction.ANSWER_ALWAYS, "key", 7)
    data = serde.serialize("", asked)
    assert data == b"\x01\x02" + hashed + b"key" + b"\0\0\0\x07"
    assert serde.deserialize("", data) == asked
    ended = Subscription(None, Instruction.DELETE, "key", 0)
    data = serde.serialize("", ended)
    assert data == b"\x81\x00key\0\0\0\0"
    assert serde.deserialize("", data) == ended
    assert serde.deserialize("", b"\x80\x03key") == Subscription(
        None, Instruction.ANSWER_IF_FOUND, "key", None
    )


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x02short", b"\x82\x00key\0\0\0\0", b"\x81\x04key\0\0\0\0", b"\x81\x00"]
)
def test_what_is_no_subscription(data: bytes) -> None:
    with pytest.raises(SerializationError):
        SubscriptionSerde(SERDES).deserialize("", data)


def test_responses() -> None:
    serde = ResponseSerde(Text())
    hashed = bytes(16)
    assert serde.serialize("", Response(hashed, "v", 3)) == b"\0" + hashed + b"v"
    assert serde.serialize("", Response(None, None)) == b"\x80"
    assert serde.deserialize("", b"\0" + hashed + b"v") == Response(hashed, "v")
    assert serde.deserialize("", b"\x80") == Response(None, None)
    for data in (b"", b"\0short", b"\x81v"):
        with pytest.raises(SerializationError):
            serde.deserialize("", data)


def test_a_foreign_key_of_key_and_value() -> None:
    builder = StreamsBuilder(Text(), Text())
    rows = builder.table("rows")
    rows.left_join(
        builder.table("names"),
        lambda row, name: f"{row}/{name}",
        foreign_key=lambda key, value: key[0] + value,
        with_key=True,
        name="j",
    ).to_stream().to("out")
    topology = builder.build()
    assert "j-subscription-registration-topic" in topology.describe()
    with TopologyTest(topology) as test:
        test.input("rows").pipe("ab", "x", ts=1)
        test.input("names").pipe("ax", "Name", ts=2)
        test.input("names").pipe("ax", None, ts=3)
        got = [(record.key, record.value) for record in test.output("out").read()]
    assert got == [("ab", "x/None"), ("ab", "x/Name"), ("ab", "x/None")]
