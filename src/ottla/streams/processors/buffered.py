"""A value in a buffer, with the record that it comes from, in the bytes that Kafka Streams' changelogs
have."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ottla.streams.errors import StateStoreError
from ottla.streams.state.stores import RecordContext

__all__ = ["Buffered", "decode_buffered", "encode_buffered"]

_TIMES: Final = struct.Struct(">qq")
_INT: Final = struct.Struct(">i")
_NULL: Final = -1
_SAME: Final = -2
"""The old value is the prior one."""


@dataclass(slots=True)
class Buffered:
    """`prior`: what others saw of the key before it was buffered; `old`: what was there before `new`."""

    prior: bytes | None
    old: bytes | None
    new: bytes | None
    context: RecordContext

    def size(self) -> int:
        """Of the memory that Java counts for it."""
        context = self.context
        size = 8 + 8 + 4 + len(context.topic)
        size += sum(len(name) + len(value or b"") for name, value in context.headers)
        size += sum(len(part) for part in (self.prior, self.new) if part is not None)
        if self.old is not None and self.old != self.prior:
            size += len(self.old)
        return size


def encode_buffered(value: Buffered) -> bytes:
    context = value.context
    topic = context.topic.encode()
    parts = [
        _TIMES.pack(context.timestamp, context.offset),
        _INT.pack(len(topic)),
        topic,
        _INT.pack(context.partition),
        _INT.pack(len(context.headers)),
    ]
    for name, data in context.headers:
        encoded = name.encode()
        parts += [_INT.pack(len(encoded)), encoded, _sized(data)]
    parts.append(_sized(value.prior))
    parts.append(
        _INT.pack(_SAME) if value.old is not None and value.old == value.prior else _sized(value.old)
    )
    parts.append(_sized(value.new))
    return b"".join(parts)


def _sized(data: bytes | None) -> bytes:
    return _INT.pack(_NULL) if data is None else _INT.pack(len(data)) + data


def decode_buffered(data: bytes) -> tuple[Buffered, bytes]:
    """A value, and what stands behind it. Raises StateStoreError for what is none."""
    try:
        return _decode(data)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise StateStoreError(f"a changelog has no value of a buffer: {error}") from None


def _decode(data: bytes) -> tuple[Buffered, bytes]:
    at = _TIMES.size
    timestamp, offset = _TIMES.unpack_from(data)

    def part() -> bytes | None:
        nonlocal at
        size = integer()
        if size == _NULL:
            return None
        if size < 0 or at + size > len(data):
            raise struct.error(f"{size} bytes of {len(data) - at}")
        found = data[at : at + size]
        at += size
        return found

    def integer() -> int:
        nonlocal at
        number: int = _INT.unpack_from(data, at)[0]
        at += _INT.size
        return number

    topic = (part() or b"").decode()
    partition = integer()
    headers = tuple(((part() or b"").decode(), part()) for _ in range(max(0, integer())))
    context = RecordContext(topic, partition, offset, timestamp, headers)
    prior = part()
    old: bytes | None
    if _INT.unpack_from(data, at)[0] == _SAME:
        at += _INT.size
        old = prior
    else:
        old = part()
    new = part()
    return Buffered(prior, old, new, context), data[at:]
