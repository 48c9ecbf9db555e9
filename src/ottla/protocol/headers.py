"""Request headers, and which response header goes with them.

By hand: a broker reads one for each request.
"""

from __future__ import annotations

import struct as binary
from typing import Final

from ottla.protocol.errors import EncodeError, ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.messages import APIS
from ottla.protocol.reading import skip_tagged_fields

_FIXED: Final = binary.Struct(">hhih")
_FIXED_BYTES: Final[int] = _FIXED.size
_API_VERSIONS_KEY: Final = 18
_FLEXIBLE_FROM: Final[dict[int, int]] = {
    key: api.flexible if api.flexible > api.lowest else -(1 << 15) for key, api in APIS.items()
}
"""By API key. Versions beyond the known ones are as the nearest."""


def is_flexible(api_key: int, version: int) -> bool:
    """Whether messages of this version are flexible (KIP-482); KafkaError(unsupported_version) for a key that
    no API has.
    """
    first = _FLEXIBLE_FROM.get(api_key)
    if first is None:
        raise KafkaError(ErrorCode.unsupported_version, f"there is no API {api_key}")
    return version >= first


def request_header(api_key: int, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """What a client puts before a request; EncodeError for a client id that is too long."""
    name = b"" if client_id is None else client_id.encode()
    try:
        fixed = _FIXED.pack(api_key, version, correlation_id, -1 if client_id is None else len(name))
    except binary.error as error:
        raise EncodeError(f"request header: {error}") from error
    return fixed + name + b"\0" if is_flexible(api_key, version) else fixed + name


def parse_request_header(frame: bytes | memoryview) -> tuple[int, int, int, str | None, int]:
    """API key, version, correlation id, what the client calls itself, and the offset of the body;
    MalformedRequest where there is no header, or an API that Kafka has not.

    Header version 2, with tagged fields, belongs to flexible versions; the client id is a legacy string even
    there. A version of a known API that we don't have passes: the caller answers or closes.
    """
    api_key: int
    api_version: int
    correlation_id: int
    length: int
    try:
        api_key, api_version, correlation_id, length = _FIXED.unpack_from(frame)
        if length < -1:
            raise MalformedRequest("the client id has a negative length")
        named = max(length, 0)
        # Taken out of the view once: compiled code reads bytes without calls.
        rest = bytes(frame[_FIXED_BYTES : _FIXED_BYTES + named + 1])
        if len(rest) < named:
            raise MalformedRequest("the client id is longer than the request")
        client_id = None if length < 0 else rest[:named].decode()
        offset = _FIXED_BYTES + named
        if is_flexible(api_key, api_version):
            offset = skip_tagged_fields(frame, offset) if rest[named] else offset + 1
    except (binary.error, IndexError, ValueError, KafkaError) as error:
        raise MalformedRequest(f"request header: {error}") from error
    return api_key, api_version, correlation_id, client_id, offset


def response_header_version(api_key: int, api_version: int) -> int:
    """1, with tagged fields, for flexible versions. ApiVersions always has 0: a client must be able to read
    the answer before it knows which versions the broker speaks.
    """
    return int(api_key != _API_VERSIONS_KEY and is_flexible(api_key, api_version))
