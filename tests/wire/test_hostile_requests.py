"""Whatever a client sends gives a request or MalformedRequest, in bounded memory."""

from __future__ import annotations

import functools
import random
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.raw_client import request_body

from ottla.protocol.errors import MalformedRequest
from ottla.protocol.fetch_request import decode_fetch
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages import APIS
from ottla.protocol.produce import decode_produce
from ottla.protocol.wire import decode_request, encode, known_versions, request_class

from . import kio_values

VERSIONS = [
    pytest.param(api_key, version, id=f"{APIS[api_key].name}-{version}")
    for api_key in APIS
    for version in known_versions(api_key)
]
BY_HAND = {0: functools.partial(decode_produce, max_partitions=100), 1: decode_fetch}
fuzz = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
lengths = st.sampled_from(
    [
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\x7f",
        b"\x80\x80\x80\x80\x08",
        b"\xff" * 11,
        b"\x7f\xff\xff\xff",
        b"\x80\x00\x00\x00",
        b"\xff\xff",
        b"\x7f\xff",
        b"\x80\x00",
        b"\x00",
        b"\xc3\x28",
    ]
)


@functools.cache
def valid_request(api_key: int, version: int) -> bytes:
    """A request with something in every field, one per API and version."""
    if not kio_values.is_known(api_key, version):
        return encode(request_class(api_key)(), version)
    class_ = kio_values.request_class(api_key, version)
    return kio_values.kio_write(kio_values.full(class_, random.Random(version)))


def decode(api_key: int, version: int, buffer: bytes) -> None:
    try:
        decode_request(api_key, version, buffer)
    except MalformedRequest:
        pass
    by_hand = BY_HAND.get(api_key)
    if by_hand is not None:
        try:
            by_hand(version, buffer)
        except MalformedRequest:
            pass


@pytest.mark.parametrize(("api_key", "version"), VERSIONS)
def test_requests_cut_anywhere_and_lengths_put_anywhere(api_key: int, version: int) -> None:
    valid = valid_request(api_key, version)
    chance = random.Random(f"{api_key} {version}")
    for cut in range(len(valid)):
        with pytest.raises(MalformedRequest):
            decode_request(api_key, version, valid[:cut])
        if api_key in BY_HAND:
            with pytest.raises(MalformedRequest):
                BY_HAND[api_key](version, valid[:cut])
    for position in range(len(valid)):
        for lie in (b"\xff\xff\xff\xff\x0f", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", chance.randbytes(2)):
            decode(api_key, version, valid[:position] + lie + valid[position + len(lie) :])


@pytest.mark.parametrize("api_key", APIS)
@fuzz
@given(data=st.data())
def test_arbitrary_bytes_and_mutated_requests(api_key: int, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(known_versions(api_key)))
    decode(api_key, version, data.draw(st.binary(max_size=200)))
    mutated = bytearray(valid_request(api_key, version))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated)))
        piece = data.draw(lengths | st.binary(max_size=6))
        replaced = data.draw(st.sampled_from([0, len(piece)]))
        mutated[position : position + replaced] = piece
    decode(api_key, version, bytes(mutated))


@fuzz
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda head, rest: struct.pack(">hhi", *head) + rest,
        st.tuples(st.integers(-1, 95), st.integers(-2, 20), st.integers(0, 9)),
        st.binary(max_size=30),
    )
)
def test_header_of_arbitrary_bytes(buffer: bytes) -> None:
    try:
        *_, offset = parse_request_header(buffer)
    except MalformedRequest:
        return
    assert 10 <= offset <= len(buffer)


def test_a_length_alone_reserves_no_memory() -> None:
    """A client that claims four billion elements in ten bytes gets an error, and no memory."""
    metadata_12 = b"\xff\xff\xff\xff\x0f" + bytes(5)
    metadata_8 = b"\x7f\xff\xff\xff" + bytes(6)
    for version, body in ((12, metadata_12), (8, metadata_8)):
        decode(3, version, body)  # compile first
        tracemalloc.start()
        with pytest.raises(MalformedRequest, match="more elements"):
            decode_request(3, version, body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20_000


@pytest.mark.parametrize("count", [3, 6, 100])
def test_elements_are_bounded_over_all_arrays(count: int) -> None:
    """Two topics of three partitions are eight elements, wherever the bound falls."""
    topic = {"name": "t", "partition_indexes": [0, 1, 2]}
    body = request_body(9, 7, 1, {"group_id": "g", "topics": [topic, topic]})
    *_, offset = parse_request_header(body)
    if count >= 8:
        assert len(decode_request(9, 7, body, offset, count).topics) == 2
    else:
        with pytest.raises(MalformedRequest, match=f"OffsetFetchRequest: more than {count} elements"):
            decode_request(9, 7, body, offset, count)


def test_tagged_fields_are_bounded() -> None:
    """A million of the smallest, unknown, take two bytes each."""
    header, many = struct.pack(">hhihb", 3, 12, 1, 1, ord("c")), b"\xc0\x84\x3d" + bytes(2_000_000)
    with pytest.raises(MalformedRequest, match="1000000 tagged fields"):
        parse_request_header(header + many)
    with pytest.raises(MalformedRequest, match="more than 100 tagged fields"):
        decode_request(3, 12, b"\x01\0\0" + many)
    for version, decode_by_hand in ((13, BY_HAND[0]), (16, BY_HAND[1])):
        fixed = b"\0\0\x01\0\0\0\0\x01" if version == 13 else bytes(21) + b"\x01\x01\x01"
        decode_by_hand(version, fixed + b"\0")
        with pytest.raises(MalformedRequest, match="1000000 tagged fields"):
            decode_by_hand(version, fixed + many)


def test_memory_is_a_small_multiple_of_the_request() -> None:
    count = 100_000
    names = (
        b"\x01\0" * count
    )  # topics with an empty name and no tagged fields: the smallest elements there are
    encoded = b"\xa1\x8d\x06" + names + b"\x01\0\0\0"
    tracemalloc.start()
    request = decode_request(3, 9, encoded)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(request.topics) == count
    assert peak < 60 * len(encoded)
