"""Decoding requests and encoding responses, whatever their version.

A request becomes Python objects, and a hostile one of the smallest elements takes some thirty times its own
size and a microsecond or two for each. What is right depends on the API, so the caller bounds the frame, and
the elements in it. Produce, whose bulk stays bytes, and Fetch have decoders of their own (`produce`,
`fetch_request`).
"""

from __future__ import annotations

import struct as binary
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from ottla.protocol.decode import NO_LIMIT, Decoder, compile_object_decoder
from ottla.protocol.encode import Encoder, compile_encoder
from ottla.protocol.entities import child_path, entity_class
from ottla.protocol.errors import DecodeError, EncodeError, MalformedRequest
from ottla.protocol.headers import response_header_version
from ottla.protocol.kio_schemas import api_name, known_versions, request_struct, response_struct
from ottla.protocol.schema import Struct

__all__ = [
    "api_name",
    "check_response",
    "decode_request",
    "encode_response",
    "encode_response_body",
    "frame_response",
    "known_response_keys",
    "known_versions",
]

_SIZE_AND_CORRELATION: Final = binary.Struct(">ii")


def decode_request(
    api_key: int,
    version: int,
    buffer: bytes | memoryview,
    offset: int = 0,
    max_elements: int = NO_LIMIT,
) -> Any:
    """The request as an `Entity`: attributes named as in Kafka's schemas in snake case, arrays as tuples,
    durations as integers ending in `_ms`, the zero UUID as None; what the version lacks has its default.

    Bytes behind the request are ignored, as Kafka does. Raises MalformedRequest, also when its arrays have
    more than `max_elements` elements in all; KafkaError(unsupported_version) for an API or version without
    schema.
    """
    try:
        return _request_decoder(api_key, version)(buffer, offset, max_elements)[0]
    except DecodeError as error:
        raise MalformedRequest(f"{api_name(api_key)} {version}: {error}") from error


def encode_response(api_key: int, version: int, correlation_id: int, response: Mapping[str, Any]) -> bytes:
    """The whole frame: size, response header, body. Keys that the version lacks are dropped, missing ones
    filled with the schema's default; EncodeError where a value does not fit.
    """
    return frame_response(api_key, version, correlation_id, encode_response_body(api_key, version, response))


def frame_response(api_key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    """Size and response header before a body that is encoded already."""
    if response_header_version(api_key, version):
        return _SIZE_AND_CORRELATION.pack(len(body) + 5, correlation_id) + b"\0" + body
    return _SIZE_AND_CORRELATION.pack(len(body) + 4, correlation_id) + body


def encode_response_body(api_key: int, version: int, response: Mapping[str, Any]) -> bytes:
    """As `encode_response`, without size and header."""
    return _response_encoder(api_key, version)(response)


@cache
def known_response_keys(api_key: int) -> Mapping[str, frozenset[str]]:
    """The keys that any version of the response has, by path: `""` for the response itself,
    `"topics.partitions"`.
    """
    found: dict[str, set[str]] = {}
    for version in known_versions(api_key):
        _collect_keys(response_struct(api_key, version), "", found)
    return {path: frozenset(keys) for path, keys in found.items()}


def check_response(api_key: int, response: Mapping[str, Any]) -> None:
    """EncodeError for a key that no version knows. Encoding drops such keys, so tests call this to find
    misspellings.
    """
    known = known_response_keys(api_key)

    def check(value: object, path: str) -> None:
        if isinstance(value, Mapping) and path in known:
            unknown = sorted(map(str, value.keys() - known[path]))
            if unknown:
                raise EncodeError(
                    f"{api_name(api_key)}: no version has {unknown} in {path or 'the response'}"
                )
            for key, nested in value.items():
                check(nested, f"{path}.{key}" if path else key)
        elif isinstance(value, list | tuple):
            for each in value:
                check(each, path)

    check(response, "")


@cache
def _request_decoder(api_key: int, version: int) -> Decoder:
    return compile_object_decoder(
        request_struct(api_key, version), lambda struct, path: entity_class(api_key, struct, path)
    )


@cache
def _response_encoder(api_key: int, version: int) -> Encoder:
    return compile_encoder(response_struct(api_key, version))


def _collect_keys(struct: Struct, path: str, found: dict[str, set[str]]) -> None:
    keys = found.setdefault(path, set())
    for each in struct.fields:
        keys.add(each.name)
        if each.struct is not None:
            _collect_keys(each.struct, child_path(path, each), found)
