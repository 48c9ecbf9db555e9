"""Brokers that answer what a test tells them to, and networks that reach no further."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

from ottla.protocol import wire
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages import APIS
from ottla.protocol.messages.api_versions import ApiVersion, ApiVersionsResponse
from ottla.protocol.messages.metadata import MetadataResponse, MetadataResponseBroker

Answer = Callable[[int, int, int, memoryview], bytes | None]
"""From API key, version, correlation id and frame to what is written; None closes the connection."""


@contextlib.asynccontextmanager
async def scripted(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A broker that answers what it is told to, over TLS with a context; its address."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        with (
            contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError),
            contextlib.closing(writer),
        ):
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                key, version, correlation_id, _, offset = parse_request_header(frame)
                answered = answer(key, version, correlation_id, memoryview(frame)[offset:])
                if answered is None:
                    break
                writer.write(answered)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


def api_versions(version: int, correlation_id: int) -> bytes:
    rows = [ApiVersion(api_key=key, min_version=0, max_version=api.highest) for key, api in APIS.items()]
    return wire.encode_response(ApiVersionsResponse(api_keys=rows), version, correlation_id)


def metadata(version: int, correlation_id: int, port: int = 0) -> bytes:
    brokers = [MetadataResponseBroker(node_id=1, host="127.0.0.1", port=port)] if port else []
    return wire.encode_response(MetadataResponse(brokers=brokers, cluster_id="c"), version, correlation_id)


async def dial_this_machine(
    protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, *tls: object
) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
    """Whatever name a hostile broker gives, no resolver is asked for it."""
    if host != "127.0.0.1":
        host.encode("idna")
        raise OSError("no such host")
    return await asyncio.get_running_loop().create_connection(protocol, host, port)
