"""Every response of every API, changed and cut: a message, or MalformedResponseError, and bounded memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from ottla.client.core.connection import decode_body
from ottla.client.errors import MalformedResponseError
from ottla.protocol import wire
from ottla.protocol.messages import APIS
from ottla.protocol.structs import Struct


def decoded_or_refused(class_: type[Struct], version: int, data: bytes) -> bool:
    try:
        decode_body(class_, version, memoryview(data))
    except MalformedResponseError:
        return False
    return True


@pytest.mark.parametrize("api_key", APIS, ids=[api.name for api in APIS.values()])
def test_nonsense_is_refused(api_key: int) -> None:
    chance = random.Random(api_key)
    class_ = wire.response_class(api_key)
    for version in wire.known_versions(api_key):
        good = wire.encode(class_(), version)
        for _ in range(60):
            data = bytearray(good) + chance.randbytes(chance.randrange(200))
            for _ in range(chance.randrange(6)):
                if data:
                    data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 127, 128, 255))
            decoded_or_refused(class_, version, bytes(data[: chance.randrange(len(data) + 1)]))


@pytest.mark.parametrize(("api_key", "version"), [(3, 9), (3, 1), (32, 4), (1, 12), (16, 4)])
def test_memory_is_bounded_by_what_came(api_key: int, version: int) -> None:
    """Counts that lie are told from the bytes that are left."""
    class_ = wire.response_class(api_key)
    tracemalloc.start()
    try:
        for filler in (b"\xff", b"\x7f", b"\x01", b"\x02"):
            decoded_or_refused(class_, version, b"\0\0\0\0" + filler * 10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
