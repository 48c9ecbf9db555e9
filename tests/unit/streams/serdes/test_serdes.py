"""Serdes: Java's bytes, both ways, and what is refused."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.streams.errors import SerializationError
from ottla.streams.records import Change, Window, Windowed
from ottla.streams.serdes import (
    UUID,
    Boolean,
    Bytes,
    ChangeSerde,
    Double,
    Float,
    Integer,
    Json,
    List,
    Long,
    SessionWindowedSerde,
    Short,
    Text,
    TimeWindowedSerde,
)

SOME_UUID = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")


def str_of(value: object) -> str:
    """A test's id: the same in every process."""
    return re.sub(" object at 0x[0-9a-f]+", "", repr(value))[:60]


# Printed by org.apache.kafka.common.serialization and kafka-streams 4.4.
JAVA = [
    (Text(), "zürich", "7ac3bc72696368"),
    (Text(), "", ""),
    (Bytes(), b"\x00\xff", "00ff"),
    (Long(), -2, "fffffffffffffffe"),
    (Integer(), 258, "00000102"),
    (Short(), -1, "ffff"),
    (Double(), 1.5, "3ff8000000000000"),
    (Float(), -0.5, "bf000000"),
    (Boolean(), True, "01"),
    (Boolean(), False, "00"),
    (UUID(), SOME_UUID, "30313233343536372d383961622d636465662d303132332d343536373839616263646566"),
    (List(Long()), [1, None, 3], "0000000001000000010000000300000000000000010000000000000003"),
    (List(Text()), ["a", None, ""], "010000000300000001" + "61" + "ffffffff" + "00000000"),
    (List(Integer()), [], "000000000000000000"),
    (TimeWindowedSerde(Text(), 10), Windowed("k", Window(5, 15)), "6b0000000000000005"),
    (SessionWindowedSerde(Text()), Windowed("k", Window(5, 15)), "6b000000000000000f0000000000000005"),
    (ChangeSerde(Long()), Change(7, None), "000000000000000701"),
    (ChangeSerde(Long()), Change(None, 7), "000000000000000700"),
    (ChangeSerde(Text()), Change("new", "old"), "066e65776f6c6402"),
    (Json(), {"a": [1, None, 1.5, "ü"]}, '{"a":[1,null,1.5,"ü"]}'.encode().hex()),
]


@pytest.mark.parametrize(("serde", "value", "data"), JAVA, ids=str_of)
def test_bytes_are_javas_both_ways(serde: Any, value: object, data: str) -> None:
    assert serde.serialize("t", value).hex() == data
    assert serde.deserialize("t", bytes.fromhex(data)) == value


@pytest.mark.parametrize("serde", [case[0] for case in JAVA], ids=str_of)
def test_nothing_is_nothing(serde: Any) -> None:
    assert serde.serialize("t", None) is None
    assert serde.deserialize("t", None) is None


@pytest.mark.parametrize(
    ("serde", "value"),
    [
        (Text(), 5),
        (Text(), "\ud800"),
        (Bytes(), "text"),
        (Long(), 2**63),
        (Long(), "5"),
        (Long(), 1.5),
        (Integer(), 2**31),
        (Short(), 40_000),
        (Float(), 1e300),
        (Double(), "x"),
        (Boolean(), 1),
        (UUID(), "01234567"),
        (List(Long()), "text"),
        (List(Long()), ["x"]),
        (Json(), object()),
        (Json(), {"a": object()}),
        (TimeWindowedSerde(Text()), Windowed(None, Window(0, 1))),
        (ChangeSerde(Long()), Change(None, None)),
    ],
    ids=str_of,
)
def test_values_that_a_serde_does_not_take(serde: Any, value: object) -> None:
    with pytest.raises(SerializationError):
        serde.serialize("t", value)


@pytest.mark.parametrize(
    ("serde", "data"),
    [
        (Text(), b"\xff"),
        (Long(), b"\x00" * 7),
        (Integer(), b""),
        (Boolean(), b"\x02"),
        (Boolean(), b""),
        (UUID(), b"0123"),
        (UUID(), b"\xff" * 36),
        (Json(), b"{"),
        (Json(), b"[" * 100_000),
        (List(Long()), b""),
        (List(Long()), b"\x00" + b"\x7f\xff\xff\xff"),
        (List(Long()), b"\x00\x00\x00\x00\x00" + b"\x00\x00\x00\x01"),
        (List(Text()), b"\x01\x00\x00\x00\x01\xff\xff\xff\xfe"),
        (List(Text()), b"\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        (List(Text()), b"\x02\x00\x00\x00\x00"),
        (TimeWindowedSerde(Text()), b"1234567"),
        (SessionWindowedSerde(Text()), b"123456789012345"),
        (ChangeSerde(Long()), b""),
        (ChangeSerde(Long()), b"\x06"),
        (ChangeSerde(Long()), b"\x02"),
        (ChangeSerde(Text()), b"\x10abc\x02"),
        (ChangeSerde(Text()), b"\xff\xff\xff\xff\xff\xff\x02"),
        (ChangeSerde(Text()), b"a\x02\x04"),
    ],
    ids=str_of,
)
@pytest.mark.usefixtures("no_collection")
def test_bytes_that_are_none_of_a_serdes(serde: Any, data: bytes) -> None:
    with pytest.raises(SerializationError):
        serde.deserialize("t", data)


def test_changes_that_are_not_the_latest_are_read() -> None:
    serde = ChangeSerde(Text())
    assert serde.deserialize("t", b"new\x00\x04") == Change("new", None, is_latest=False)
    assert serde.deserialize("t", b"old\x01\x03") == Change(None, "old", is_latest=True)
    assert serde.deserialize("t", b"\x06newold\x00\x05") == Change("new", "old", is_latest=False)


@given(st.binary(max_size=40))
@pytest.mark.parametrize("serde", [case[0] for case in JAVA], ids=str_of)
def test_no_bytes_do_more_than_be_refused(serde: Any, data: bytes) -> None:
    try:
        serde.deserialize("t", data)
    except SerializationError:
        return


@pytest.mark.parametrize("make", [Text, Bytes, Long, Json, lambda: List(Long())])
def test_serdes_of_one_kind_are_equal(make: Callable[[], object]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())


@given(new=st.none() | st.text(), old=st.none() | st.text())
def test_changes_come_back(new: str | None, old: str | None) -> None:
    if new is None and old is None:
        return
    serde = ChangeSerde(Text())
    assert serde.deserialize("t", serde.serialize("t", Change(new, old))) == Change(new, old)
