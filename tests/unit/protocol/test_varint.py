from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.protocol.errors import DecodeError
from ottla.protocol.varint import UVARINT, decode_uvarint, encode_uvarint


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001"), (2**32 - 1, "ffffffff0f")],
)
def test_known_encodings(value: int, encoded: str) -> None:
    assert encode_uvarint(value).hex() == UVARINT[value].hex() == encoded


@given(st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_round_trip(value: int, around: bytes) -> None:
    encoded = encode_uvarint(value)
    assert decode_uvarint(around + encoded + around, len(around)) == (value, len(around) + len(encoded))


@pytest.mark.parametrize("encoded", ["ffffffff10", "ffffffffff", "808080808001", "ffffffff7f"])
def test_more_than_32_bits(encoded: str) -> None:
    with pytest.raises(DecodeError):
        decode_uvarint(bytes.fromhex(encoded), 0)


def test_the_end_of_the_buffer() -> None:
    with pytest.raises(IndexError):
        decode_uvarint(b"\x80", 0)


def test_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode_uvarint(-1)
