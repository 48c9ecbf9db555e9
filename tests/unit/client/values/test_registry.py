"""The frame of values whose schema lives in a registry."""

from __future__ import annotations

import pytest

from ottla.client.values.interface import ValuesError
from ottla.client.values.registry import frame, lacking, unframe


def test_a_frame_is_a_zero_and_the_id() -> None:
    assert frame(258, b"ab") == b"\0\0\0\1\2ab"
    schema_id, payload = unframe(b"\0\0\0\1\2ab")
    assert (schema_id, bytes(payload)) == (258, b"ab")
    assert bytes(unframe(frame(1, b""))[1]) == b""


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"{}      "])
def test_broken_frames_are_refused(value: bytes) -> None:
    with pytest.raises(ValuesError):
        unframe(value)


def test_ids_that_are_lacking_come_once_and_in_order() -> None:
    values = [frame(7, b""), None, b"", b"{}      ", frame(3, b"x"), frame(7, b"y"), frame(5, b"")]
    assert lacking(values, {5}) == [7, 3]
