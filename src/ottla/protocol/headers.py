"""Request headers, and which response header goes with them."""

from __future__ import annotations

import struct as binary
from typing import Final, NamedTuple

from ottla.protocol.errors import KafkaError, MalformedRequest
from ottla.protocol.kio_schemas import API_VERSIONS_KEY, is_flexible
from ottla.protocol.reading import skip_tagged_fields

_FIXED: Final = binary.Struct(">hhih")
_new_tuple: Final = tuple.__new__


class RequestHeader(NamedTuple):
    """What every request starts with. `client_id` is what the client calls itself, unverified."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def parse_request_header(buffer: bytes | memoryview, offset: int = 0) -> tuple[RequestHeader, int]:
    """The header and the offset of the body; MalformedRequest where there is none, or an API that Kafka has
    not.

    Header version 2, with tagged fields, belongs to flexible versions; the client id is a legacy string even
    there. A version of a known API that we don't have passes: the caller answers or closes.
    """
    try:
        api_key, api_version, correlation_id, length = _FIXED.unpack_from(buffer, offset)
        offset += _FIXED.size
        client_id = None
        if length >= 0:
            end = offset + length
            if end > len(buffer):
                raise MalformedRequest("the client id is longer than the request")
            client_id = str(buffer[offset:end], "utf-8")
            offset = end
        elif length < -1:
            raise MalformedRequest("the client id has a negative length")
        if is_flexible(api_key, api_version):
            offset = skip_tagged_fields(buffer, offset)
    except (binary.error, IndexError, ValueError, KafkaError) as error:
        raise MalformedRequest(f"request header: {error}") from error
    return _new_tuple(RequestHeader, (api_key, api_version, correlation_id, client_id)), offset


def response_header_version(api_key: int, api_version: int) -> int:
    """1, with tagged fields, for flexible versions. ApiVersions always has 0: a client must be able to read
    the answer before it knows which versions the broker speaks.
    """
    return int(api_key != API_VERSIONS_KEY and is_flexible(api_key, api_version))
