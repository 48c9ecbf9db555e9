"""Typed messages to bytes and back, at any version: requests, responses, and the records of coordinators.

Encoders and decoders are compiled at first use, one for each class and version.

A request becomes Python objects, and a hostile one of the smallest elements takes some thirty times its own
size and a microsecond or two for each. What is right depends on the API, so the caller bounds the frame, and
the elements in it. Produce, whose bulk stays bytes, and Fetch have decoders of their own (`produce`,
`fetch_request`).
"""

from __future__ import annotations

import struct as binary
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeVar, cast

from ottla.protocol.decode import NO_LIMIT, Decoder, compile_decoder
from ottla.protocol.encode import Encoder, compile_encoder
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import request_header, response_header_version
from ottla.protocol.layout import layout_of
from ottla.protocol.messages import APIS, ApiInfo
from ottla.protocol.reading import skip_tagged_fields
from ottla.protocol.structs import Struct

S = TypeVar("S", bound=Struct)
Buffer = bytes | memoryview

_SIZE_AND_CORRELATION: Final = binary.Struct(">ii")


def decode(class_: type[S], version: int, buffer: Buffer, offset: int = 0, max_elements: int = NO_LIMIT) -> S:
    """The message at `offset`: arrays as tuples, the zero UUID as None; what the version lacks has its
    default.

    Bytes behind the message are ignored, as Kafka does. DecodeError for nonsense, also when its arrays have
    more than `max_elements` elements in all; ValueError for a version that the message has not.
    """
    message: S = _decoder(class_, version)(buffer, offset, max_elements)[0]
    return message


def encode(message: Struct, version: int) -> bytes:
    """What the version lacks is left out, and null is written as empty where the version has no null;
    EncodeError where a value does not fit, ValueError for a version that the message has not.
    """
    return _encoder(type(message), version)(message)


def encode_prefixed(message: Struct, version: int) -> bytes:
    """After its version as int16: how the values of Kafka's internal topics, and what members of classic
    groups tell each other, are written.
    """
    return version.to_bytes(2, "big", signed=True) + encode(message, version)


def decode_prefixed(class_: type[S], buffer: Buffer) -> tuple[int, S]:
    """The version and the message; DecodeError for a version that there is not, too."""
    version = _prefix(class_.__name__, buffer)
    if version not in class_.__versions__:
        raise DecodeError(f"{class_.__name__} of unknown version {version}")
    return version, decode(class_, version, buffer, 2)


def encode_key(key: Struct) -> bytes:
    """The key of a coordinator's record: its type as int16, and version 0, the only one that keys have."""
    return type(key).__key__.to_bytes(2, "big", signed=True) + encode(key, 0)


def decode_key(types: Mapping[int, type[S]], buffer: Buffer) -> S | None:
    """One of the given keys, by type; None for a type that is not among them."""
    class_ = types.get(_prefix("a record's key", buffer))
    return None if class_ is None else decode(class_, 0, buffer, 2)


def _prefix(name: str, buffer: Buffer) -> int:
    if len(buffer) < 2:
        raise DecodeError(f"{name} is of {len(buffer)} bytes")
    return int.from_bytes(buffer[:2], "big", signed=True)


def api_info(api_key: int) -> ApiInfo:
    """KafkaError(unsupported_version) for a key that no API has."""
    info = APIS.get(api_key)
    if info is None:
        raise KafkaError(ErrorCode.unsupported_version, f"there is no API {api_key}")
    return info


def known_versions(api_key: int) -> range:
    """The versions of an API that have messages."""
    info = api_info(api_key)
    return range(info.lowest, info.highest + 1)


def request_class(api_key: int) -> type[Struct]:
    """Its module is loaded at first use."""
    return _message_class(api_key, "Request")


def response_class(api_key: int) -> type[Struct]:
    """Its module is loaded at first use."""
    return _message_class(api_key, "Response")


@cache
def _message_class(api_key: int, kind: str) -> type[Struct]:
    info = api_info(api_key)
    module = import_module(f"ottla.protocol.messages.{info.module}")
    return cast("type[Struct]", getattr(module, info.name + kind))


def decode_request(
    api_key: int, version: int, buffer: Buffer, offset: int = 0, max_elements: int = NO_LIMIT
) -> Any:
    """As `decode`, by key. MalformedRequest for nonsense, KafkaError(unsupported_version) for an API or
    version that there is not.
    """
    try:
        return _request_decoder(api_key, version)(buffer, offset, max_elements)[0]
    except DecodeError as error:
        raise MalformedRequest(f"{api_info(api_key).name} {version}: {error}") from error


def encode_request(request: Struct, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """The whole frame: size, header, body."""
    header = request_header(type(request).__key__, version, correlation_id, client_id)
    body = encode(request, version)
    return (len(header) + len(body)).to_bytes(4, "big") + header + body


def decode_response(
    class_: type[S], version: int, buffer: Buffer, max_elements: int = NO_LIMIT
) -> tuple[int, S]:
    """Correlation id and message of a frame without its size; DecodeError for nonsense."""
    try:
        (correlation_id,) = binary.unpack_from(">i", buffer)
        offset = 4
        if response_header_version(class_.__key__, version):
            offset = skip_tagged_fields(buffer, offset)
    except (binary.error, IndexError) as error:
        raise DecodeError(f"response header: {error}") from error
    return correlation_id, decode(class_, version, buffer, offset, max_elements)


def encode_response(response: Struct, version: int, correlation_id: int) -> bytes:
    """The whole frame: size, response header, body; as `encode`."""
    class_ = type(response)
    return frame_response(class_.__key__, version, correlation_id, _encoder(class_, version)(response))


def frame_response(api_key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    """Size and response header before a body that is encoded already."""
    if response_header_version(api_key, version):
        return _SIZE_AND_CORRELATION.pack(len(body) + 5, correlation_id) + b"\0" + body
    return _SIZE_AND_CORRELATION.pack(len(body) + 4, correlation_id) + body


@cache
def _request_decoder(api_key: int, version: int) -> Decoder:
    info = api_info(api_key)
    if not info.lowest <= version <= info.highest:
        raise KafkaError(ErrorCode.unsupported_version, f"{info.name} has no version {version}")
    return _decoder(request_class(api_key), version)


def _decoder(class_: type[Struct], version: int) -> Decoder:
    decoder: Decoder | None = class_.__decoders__.get(version)
    if decoder is None:
        decoder = class_.__decoders__[version] = compile_decoder(layout_of(class_, version))
    return decoder


def _encoder(class_: type[Struct], version: int) -> Encoder:
    encoder: Encoder | None = class_.__encoders__.get(version)
    if encoder is None:
        encoder = class_.__encoders__[version] = compile_encoder(layout_of(class_, version))
    return encoder
