"""Whom a connection hands its requests to."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final, Protocol

from ottla.network.output import Frame
from ottla.network.session import Session
from ottla.protocol.errors import KafkaError

SMALLEST_REQUEST: Final = 8
"""In bytes, without its size"""


class Dispatcher(Protocol):
    """Whom requests are handed to: the router."""

    @property
    def least_frame_limit(self) -> int:
        """In bytes; no API has a lower one."""

    def frame_limit(self, api_key: int, general_limit: int) -> int:
        """The largest frame in bytes that a request of this API may have."""

    def dispatch(
        self, session: Session, frame: memoryview
    ) -> tuple[Frame | asyncio.Future[Any] | None, bool]:
        """The encoded answer, None for no answer, or a future of either; and whether the next may go on."""

    def refuse(self, session: Session, frame: memoryview, error: KafkaError) -> Frame | None:
        """The answer to a request that is not handled. MalformedRequest where there can be none."""


def guess(size: int) -> str:
    """What may be meant by a frame of a size that none has."""
    start = struct.pack(">i", size)
    if start[0] == 0x16 and start[1] == 0x03:
        return "; this looks like TLS on a plaintext listener"
    if start in {b"GET ", b"POST", b"HEAD", b"PUT "}:
        return "; this looks like HTTP"
    return ""
