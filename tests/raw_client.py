"""A Kafka client of nothing but frames: any request at any version, whole, cut or wrong.

Requests are plain dicts with Kafka's names, of which those that the API has not are ignored; responses are
read by kio, which shares no code with the broker's encoders and refuses bytes that are left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from tests.wire import kio_values
from tests.wire.typed import from_dict, to_dict

from ottla.protocol import wire
from ottla.protocol.decode import compile_decoder
from ottla.protocol.headers import request_header, response_header_version
from ottla.protocol.layout import Layout, layout_of

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
API_VERSIONS, CREATE_TOPICS = 18, 19
_WITHOUT_TIMES = (38, 39, 40)
"""Of delegation tokens: kio takes no time of -1, as Kafka has it beside an error"""


def request_layout(api_key: int, version: int) -> Layout:
    return layout_of(wire.request_class(api_key), version)


def request_body(
    api_key: int, version: int, correlation_id: int, request: Mapping[str, Any], client_id: str | None = "raw"
) -> bytes:
    """A request without its size: header and message."""
    header = request_header(api_key, version, correlation_id, client_id)
    return header + wire.encode(from_dict(wire.request_class(api_key), request, strict=False), version)


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def request_frame(api_key: int, version: int, correlation_id: int, request: Mapping[str, Any]) -> bytes:
    return frame(request_body(api_key, version, correlation_id, request))


def read_response(api_key: int, version: int, response: bytes) -> tuple[int, dict[str, Any]]:
    """Correlation id and message of a response (without its size)."""
    (correlation_id,) = struct.unpack_from(">i", response)
    body = response[4 + response_header_version(api_key, version) :]
    if not kio_values.is_known(api_key, version) or api_key in _WITHOUT_TIMES:
        message, end = compile_decoder(layout_of(wire.response_class(api_key), version))(body, 0)
        assert end == len(body)
        return correlation_id, to_dict(message, version)
    read = kio_values.kio_read(kio_values.response_class(api_key, version), body)
    return correlation_id, kio_values.from_kio(read)


def error_codes(message: Any) -> Iterator[int]:
    """Every error code in a response."""
    if isinstance(message, dict):
        for name, value in message.items():
            if name.endswith("error_code"):
                yield value
            else:
                yield from error_codes(value)
    elif isinstance(message, list):
        for each in message:
            yield from error_codes(each)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._correlation_id = 0

    def send(self, api_key: int, version: int, request: Mapping[str, Any]) -> int:
        """Send without waiting for the answer; gives the correlation id."""
        self._correlation_id += 1
        self.writer.write(request_frame(api_key, version, self._correlation_id, request))
        return self._correlation_id

    async def receive_frame(self) -> bytes:
        """The next response; IncompleteReadError when the broker closes."""
        (size,) = struct.unpack(">i", await self.reader.readexactly(4))
        return await self.reader.readexactly(size)

    async def receive(self, api_key: int, version: int) -> dict[str, Any]:
        return read_response(api_key, version, await self.receive_frame())[1]

    async def call(self, api_key: int, version: int, request: Mapping[str, Any]) -> dict[str, Any]:
        correlation_id = self.send(api_key, version, request)
        answered, response = read_response(api_key, version, await self.receive_frame())
        assert answered == correlation_id
        return response

    async def is_closed(self) -> bool:
        """Whether the broker closes the connection, after what it still has to say."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), 10):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


@contextlib.asynccontextmanager
async def connect(host: str, port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(host, port, limit=64 * 1024 * 1024)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
