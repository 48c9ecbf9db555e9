from __future__ import annotations

import subprocess
import sys

import pytest

from ottla.protocol.errors import EncodeError, MalformedRequest
from ottla.protocol.headers import parse_request_header, request_header, response_header_version


def test_version_1_has_a_nullable_client_id() -> None:
    named = bytes.fromhex("0003 0008 00000007 0003") + b"abcBODY"
    assert parse_request_header(named) == (3, 8, 7, "abc", 13)
    nameless = bytes.fromhex("0003 0008 ffffffff ffff") + b"BODY"
    assert parse_request_header(nameless) == (3, 8, -1, None, 10)


def test_version_2_keeps_the_legacy_client_id_and_skips_tagged_fields() -> None:
    plain = bytes.fromhex("0003 0009 00000007 0003") + b"abc\0BODY"
    assert parse_request_header(memoryview(plain)) == (3, 9, 7, "abc", 14)
    tagged = bytes.fromhex("0003 0009 00000007 0003") + b"abc" + b"\x02\x00\x01x\x81\x01\x02yy" + b"BODY"
    *header, offset = parse_request_header(tagged)
    assert header == [3, 9, 7, "abc"]
    assert tagged[offset:] == b"BODY"


@pytest.mark.parametrize(("version", "flexible"), [(2, False), (3, True), (4, True), (5, True), (99, True)])
def test_api_versions_requests_are_flexible_from_3_on_even_unknown_ones(version: int, flexible: bool) -> None:
    head = b"\0\x12" + version.to_bytes(2) + bytes.fromhex("00000001 ffff")
    assert parse_request_header(head + b"\0\0")[-1] == (11 if flexible else 10)


def test_response_headers_are_flexible_but_never_those_of_api_versions() -> None:
    assert [response_header_version(3, version) for version in (8, 9)] == [0, 1]
    assert {response_header_version(18, version) for version in range(5)} == {0}


@pytest.mark.parametrize(
    "buffer",
    [
        b"",
        bytes.fromhex("0003 0008 00000007"),
        bytes.fromhex("0003 0008 00000007 0004") + b"abc",
        bytes.fromhex("0003 0008 00000007 fffe"),
        bytes.fromhex("0003 0008 00000007 0002 c328"),
        bytes.fromhex("0003 0009 00000007 ffff"),
        bytes.fromhex("0003 0009 00000007 ffff 01 00 05 00"),
        bytes.fromhex("0003 0009 00000007 ffff ffffffffff7f"),
        bytes.fromhex("0004 0000 00000007 ffff"),
        bytes.fromhex("03e7 0000 00000007 ffff"),
        bytes.fromhex("ffff 0000 00000007 ffff"),
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda buffer: buffer.hex()[:40],
)
def test_nonsense_is_malformed(buffer: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_request_header(buffer)


@pytest.mark.parametrize("client_id", ["abc", "é", "", None])
@pytest.mark.parametrize(("api_key", "version"), [(3, 8), (3, 9), (18, 2), (18, 3), (77, 1)])
def test_a_client_writes_what_a_broker_reads(api_key: int, version: int, client_id: str | None) -> None:
    header = request_header(api_key, version, 7, client_id)
    assert parse_request_header(header + b"BODY") == (api_key, version, 7, client_id, len(header))


def test_a_client_id_that_is_too_long_is_our_error() -> None:
    with pytest.raises(EncodeError):
        request_header(3, 8, 7, "x" * 32768)


def test_importing_the_codec_loads_no_messages() -> None:
    script = (
        "import sys, ottla.protocol.wire, ottla.protocol.produce, ottla.protocol.fetch\n"
        "print([name for name in sys.modules if name.startswith('ottla.protocol.messages.')])\n"
        "print('kio' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["[]", "False"]
