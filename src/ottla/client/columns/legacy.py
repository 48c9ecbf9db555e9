"""Messages of magic 0 and 1, as topics from before Kafka 0.11 may hold them still. They are read only.

A message is, big-endian: offset i64, size i32 (of what follows), CRC-32 u32 (of what follows), magic i8,
attributes i8, for magic 1 a timestamp i64, then key and value, each with its length i32 in front, -1 for
null.
Compressed messages are the value of a message around them, which has the last one's offset; those in it are
numbered from 0 on with magic 1 (KIP-31).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from ottla.client.columns.columns import Record
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import CODEC_MASK, LOG_OVERHEAD, MAGIC, NO_TIMESTAMP, TIMESTAMP_TYPE_MASK, Buffer
from ottla.records.compression import Codec, decompress

__all__ = ["is_legacy", "read_message"]

_HEAD: Final = struct.Struct(">qiIbb")
_TIMESTAMP: Final = struct.Struct(">q")
_LENGTH: Final = struct.Struct(">i")
_CRC_END: Final = 16
_MAX_INT64: Final = (1 << 63) - 1
_NO_TIMESTAMP_TYPE: Final = -1


class _Message(NamedTuple):
    offset: int
    magic: int
    attributes: int
    timestamp: int
    key: bytes | None
    value: bytes | None

    @property
    def timestamp_type(self) -> int:
        if self.magic == 0:
            return _NO_TIMESTAMP_TYPE
        return 1 if self.attributes & TIMESTAMP_TYPE_MASK else 0


def is_legacy(data: Buffer, pos: int) -> bool:
    """Whether a message of magic 0 or 1 begins at `pos`."""
    return len(data) - pos > MAGIC and data[pos + MAGIC] < 2


def read_message(
    data: Buffer, pos: int, partition: int, *, check_crcs: bool, max_bytes: int
) -> tuple[list[Record], int, int] | None:
    """The records of the message at `pos`, one unless it is compressed, the position after it, and its last
    offset; None where it is cut off.

    `max_bytes` bounds what a compressed one may inflate to. Raises KafkaError as `decompress` does, and
    corrupt_message for anything malformed.
    """
    size = _LENGTH.unpack_from(data, pos + 8)[0] + LOG_OVERHEAD
    if size <= MAGIC:
        raise _malformed(f"it says that it has {size} bytes")
    end = pos + size
    if end > len(data):
        return None
    message = _parse(bytes(memoryview(data)[pos:end]), check_crcs)
    codec = message.attributes & CODEC_MASK
    if codec == Codec.none:
        if size > max_bytes:
            raise KafkaError(ErrorCode.message_too_large, f"it has more than {max_bytes} bytes")
        return [_record(partition, message)], end, message.offset
    if message.value is None:
        raise _malformed("a compressed message is null")
    payload = message.value
    if codec == Codec.lz4 and message.magic == 0:
        payload = _with_right_checksum(payload)
    inner = list(_inner(decompress(codec, payload, max_bytes), message))
    return [_record(partition, each) for each in inner], end, message.offset


def _parse(data: bytes, check_crcs: bool) -> _Message:
    """The message that fills `data`."""
    offset, _, crc, magic, attributes = _HEAD.unpack_from(data)
    if check_crcs and zlib.crc32(memoryview(data)[_CRC_END:]) != crc:
        raise _malformed("its CRC is wrong")
    if not 0 <= offset < _MAX_INT64:
        raise _malformed(f"its offset is {offset}")
    timestamp = NO_TIMESTAMP
    pos = _HEAD.size
    try:
        if magic:
            timestamp = _TIMESTAMP.unpack_from(data, pos)[0]
            pos += _TIMESTAMP.size
        key, pos = _read_bytes(data, pos)
        value, pos = _read_bytes(data, pos)
    except struct.error:
        raise _malformed("it ends early") from None
    if pos != len(data):
        raise _malformed("its length is not what its fields take")
    return _Message(offset, magic, attributes, timestamp, key, value)


def _read_bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    length = _LENGTH.unpack_from(data, pos)[0]
    pos += _LENGTH.size
    if length < 0:
        return None, pos
    return data[pos : pos + length], pos + length


def _inner(data: bytes, outer: _Message) -> Iterator[_Message]:
    """The messages that `outer` held compressed. Its CRC has covered them."""
    messages = []
    pos = 0
    while pos < len(data):
        if len(data) - pos < _HEAD.size:
            raise _malformed("the compressed messages end early")
        end = pos + LOG_OVERHEAD + _LENGTH.unpack_from(data, pos + 8)[0]
        if not pos + _HEAD.size <= end <= len(data):
            raise _malformed("a compressed message has an impossible length")
        message = _parse(data[pos:end], check_crcs=False)
        if message.magic != outer.magic or message.attributes & CODEC_MASK:
            raise _malformed("a compressed message is of another kind than the one around it")
        messages.append(message)
        pos = end
    if not messages:
        raise _malformed("a compressed message holds none")
    first = outer.offset - messages[-1].offset if outer.magic else 0
    for message in messages:
        if not 0 <= first + message.offset < _MAX_INT64:
            raise _malformed(f"a compressed message has the offset {message.offset}")
        changed = message._replace(offset=first + message.offset)
        if outer.timestamp_type == 1:
            changed = changed._replace(timestamp=outer.timestamp, attributes=outer.attributes & ~CODEC_MASK)
        yield changed


def _record(partition: int, message: _Message) -> Record:
    return Record(
        "",
        partition,
        message.offset,
        message.timestamp,
        message.timestamp_type,
        message.key,
        message.value,
    )


def _with_right_checksum(frame: bytes) -> bytes:
    """An lz4 frame of magic 0 with the checksum of its descriptor that lz4 asks for: Kafka's clients wrote
    another one in those days (KAFKA-3160)."""
    has_size = len(frame) > 4 and frame[4] & 8
    end = 14 if has_size else 6
    if len(frame) <= end:
        raise _malformed("an lz4 frame ends early")
    return frame[:end] + bytes((_xxh32(frame[4:end]) >> 8 & 0xFF,)) + frame[end + 1 :]


def _xxh32(data: bytes) -> int:
    """XXH32 of fewer than 16 bytes, with the seed 0."""
    first, second, third, fourth, fifth = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    mask = 0xFFFF_FFFF
    result = fifth + len(data) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        result = result + int.from_bytes(data[at : at + 4], "little") * third & mask
        result = (result << 17 | result >> 15) * fourth & mask
    for byte in data[whole:]:
        result = result + byte * fifth & mask
        result = (result << 11 | result >> 21) * first & mask
    result = (result ^ result >> 15) * second & mask
    result = (result ^ result >> 13) * third & mask
    return result ^ result >> 16


def _malformed(message: str) -> KafkaError:
    return KafkaError(ErrorCode.corrupt_message, message)
