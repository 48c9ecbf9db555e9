"""What the decoders written by hand refuse, at the limits of each primitive type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ottla.protocol.errors import MalformedRequest
from ottla.protocol.reading import (
    MAX_TAGGED_FIELDS,
    compact_string,
    compact_text,
    legacy_string,
    legacy_text,
    skip_tagged_fields,
)


@pytest.mark.parametrize(
    ("read", "buffer", "expected"),
    [
        (legacy_string, b"\0\3abc", ("abc", 5)),
        (legacy_string, b"\xff\xff", (None, 2)),
        (legacy_text, b"\0\0", ("", 2)),
        (compact_string, b"\4abc", ("abc", 4)),
        (compact_string, b"\0", (None, 1)),
        (compact_text, b"\1", ("", 1)),
        (compact_text, b"\x7f" + b"a" * 126, ("a" * 126, 127)),
        (compact_text, b"\x80\1" + b"a" * 127, ("a" * 127, 129)),
    ],
)
def test_strings(read: Callable[[memoryview, int], Any], buffer: bytes, expected: tuple[str, int]) -> None:
    text, end = expected
    assert read(memoryview(b"x" + buffer + b"more"), 1) == (text, end + 1)


@pytest.mark.parametrize(
    ("read", "buffer"),
    [
        (legacy_string, b"\0\4abc"),
        (legacy_string, b"\xff\xfe" + b"abc"),
        (legacy_text, b"\xff\xff"),
        (compact_string, b"\5abc"),
        (compact_text, b"\0"),
    ],
    ids=["longer than the buffer", "a negative length", "null", "longer than the buffer", "null"],
)
def test_strings_that_are_none(read: Callable[[memoryview, int], Any], buffer: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(memoryview(buffer), 0)


def test_a_struct_has_as_many_tagged_fields_as_are_allowed() -> None:
    most = bytes([MAX_TAGGED_FIELDS]) + b"\7\0" * MAX_TAGGED_FIELDS
    assert skip_tagged_fields(most + b"more", 0) == len(most)
    with pytest.raises(MalformedRequest, match="101 tagged fields"):
        skip_tagged_fields(bytes([101]) + b"\7\0" * 101, 0)


def test_a_tagged_field_ends_with_the_buffer_at_the_latest() -> None:
    assert skip_tagged_fields(b"\1\7\3abc", 0) == 6
    with pytest.raises(MalformedRequest, match="longer than the request"):
        skip_tagged_fields(b"\1\7\4abc", 0)
