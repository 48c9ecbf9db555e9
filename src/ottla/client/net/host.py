"""What a client takes from the machine it runs on, so that tests can hand in something else."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import NamedTuple, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)

Dial = Callable[
    [Callable[[], asyncio.BaseProtocol], str, int, SSLContext | None, str | None],
    Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]],
]
"""Connect a protocol to host and port; with TLS where a context is given, for that server's name."""


class Host(NamedTuple):
    """Time, chance, the process and the network. Durations are measured by the event loop's own clock."""

    now_ms: Callable[[], int]
    """Wall-clock time since the epoch, as records carry it"""
    random: random.Random
    process_id: Callable[[], int]
    dial: Dial


def this_host() -> Host:
    """The operating system's."""
    return Host(_now_ms, random.SystemRandom(), os.getpid, _dial)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _dial(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    context: SSLContext | None,
    server_name: str | None,
) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
    loop = asyncio.get_running_loop()
    return await loop.create_connection(protocol, host, port, ssl=context, server_hostname=server_name)
