"""What a worker and its processes say to each other: JSON objects, each behind its length. Pure.

`{"call": NAME, "id": N, ...}` asks, `{"id": N, "result": ...}` or `{"id": N, "error": TEXT, "kind": CLASS}`
answers; `{"event": NAME, ...}` tells.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

Message = dict[str, Any]
"""Of one's own processes: what is in it is what its name says"""

_LENGTH: Final = struct.Struct(">I")
MAX_BYTES: Final = 64 << 20


class FrameError(ValueError):
    """A frame that is too long or no JSON object."""


def encode(message: Mapping[str, object]) -> bytes:
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_BYTES:
        raise FrameError(f"a message of {len(data)} bytes")
    return _LENGTH.pack(len(data)) + data


class Decoder:
    """Puts together what comes in pieces."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            if length > MAX_BYTES:
                raise FrameError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._pending) < end:
                return
            message = json.loads(bytes(self._pending[_LENGTH.size : end]))
            del self._pending[:end]
            if not isinstance(message, dict):
                raise FrameError("a message that is no object")
            yield message
