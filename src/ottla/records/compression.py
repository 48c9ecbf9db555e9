"""The four codecs of the record format, each with a bound on what it may inflate to.

Formats are those that Kafka's own clients write: gzip members, snappy in the "xerial" stream framing of
snappy-java (bare snappy blocks, which librdkafka writes, are read too), lz4 frames with independent blocks,
and zstd frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any

from ottla.protocol.errors import ErrorCode, KafkaError

__all__ = ["Codec", "compress", "decompress"]


class Codec(IntEnum):
    """Compression codecs by their number in a batch's attributes."""

    none = 0
    gzip = 1
    snappy = 2
    lz4 = 3
    zstd = 4


_GZIP_WBITS = 31  # a 32 KB window in a gzip wrapper; anything else, such as bare zlib, is refused

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = (
    _XERIAL_MAGIC + (1).to_bytes(4, "big") * 2
)  # version 1, readable by readers from version 1 on
_XERIAL_BLOCK = 32 * 1024

_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_INDEPENDENT_BLOCKS = 0x20
_LZ4_DEFAULT_LEVEL = 9

_ZSTD_DEFAULT_LEVEL = 3

# Records seldom compress by more than 8 times; a first guess that fits spares a second pass.
_FIRST_GUESS_RATIO = 8
_FIRST_GUESS_MIN = 64 * 1024
_GROWTH = 8


@cache
def _cramjam() -> Any:
    """snappy, lz4 and zstd; loaded when they are first used, as they take 3 MB of an idle broker and 2 ms."""
    import cramjam

    return cramjam


# What Rust's standard library says when a writer over a fixed slice is full.
_OUTPUT_FULL = "failed to write whole buffer"


def compress(codec: int, data: bytes, level: int | None = None) -> bytes:
    """`data` compressed, at the codec's own `level` (`compression.gzip.level` and its like) or its default.

    Snappy has no levels. An unknown codec raises KafkaError(unsupported_compression_type).
    """
    match codec:
        case Codec.none:
            return data
        case Codec.gzip:
            compressor = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION if level is None else level, wbits=_GZIP_WBITS
            )
            return compressor.compress(data) + compressor.flush()
        case Codec.snappy:
            return _compress_snappy(data)
        case Codec.lz4:
            # Kafka's Java reader refuses linked blocks, which are the lz4 library's default.
            frame = _cramjam().lz4.Compressor(
                level=_LZ4_DEFAULT_LEVEL if level is None else level,
                content_checksum=False,
                block_linked=False,
            )
            frame.compress(data)
            return bytes(frame.finish())
        case Codec.zstd:
            return bytes(
                _cramjam().zstd.compress(data, level=_ZSTD_DEFAULT_LEVEL if level is None else level)
            )
    raise _unknown(codec)


def decompress(codec: int, data: bytes, max_bytes: int) -> bytes:
    """`data` inflated, if that is no more than `max_bytes`; memory stays within a small multiple of that.

    Raises KafkaError: corrupt_message for what the codec cannot read or what ends early, message_too_large
    for what would exceed the bound, unsupported_compression_type for an unknown codec.
    """
    match codec:
        case Codec.none:
            if len(data) > max_bytes:
                raise _too_large(max_bytes)
            return data
        case Codec.gzip:
            return _decompress_gzip(data, max_bytes)
        case Codec.snappy:
            return _decompress_snappy(data, max_bytes)
        case Codec.lz4:
            # Refused although readable: one such batch in a log would stop every Java consumer.
            if data[:4] == _LZ4_MAGIC and len(data) > 4 and not data[4] & _LZ4_INDEPENDENT_BLOCKS:
                raise KafkaError(ErrorCode.corrupt_message, "lz4 frames must have independent blocks")
            return _decompress_growing(_cramjam().lz4.decompress_into, data, max_bytes)
        case Codec.zstd:
            return _decompress_growing(_cramjam().zstd.decompress_into, data, max_bytes)
    raise _unknown(codec)


def _decompress_gzip(data: bytes, max_bytes: int) -> bytes:
    members: list[bytes] = []
    room = max_bytes
    while True:
        decompressor = zlib.decompressobj(wbits=_GZIP_WBITS)
        try:
            # One byte more than there is room for tells an exact fit from an overflow (0 means no limit).
            member = decompressor.decompress(data, room + 1)
        except zlib.error as error:
            raise _corrupt(error) from None
        room -= len(member)
        if room < 0:
            raise _too_large(max_bytes)
        if not decompressor.eof:
            raise KafkaError(ErrorCode.corrupt_message, "a gzip member ends early")
        members.append(member)
        data = decompressor.unused_data
        if not data:
            return members[0] if len(members) == 1 else b"".join(members)


def _compress_snappy(data: bytes) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK):
        block = bytes(_cramjam().snappy.compress_raw(data[start : start + _XERIAL_BLOCK]))
        parts += (len(block).to_bytes(4, "big"), block)
    return b"".join(parts)


def _decompress_snappy(data: bytes, max_bytes: int) -> bytes:
    if not data.startswith(_XERIAL_MAGIC):
        return _decompress_snappy_block(data, max_bytes)
    blocks: list[bytes] = []
    room = max_bytes
    pos = 0
    while pos < len(data):
        is_header = data.startswith(_XERIAL_MAGIC, pos)  # again where streams follow each other
        start = pos + (len(_XERIAL_HEADER) if is_header else 4)
        pos = start if is_header else start + int.from_bytes(data[pos:start], "big")
        if pos > len(data):
            raise KafkaError(ErrorCode.corrupt_message, "a snappy stream ends early")
        if is_header:
            continue
        block = _decompress_snappy_block(data[start:pos], room)
        room -= len(block)
        blocks.append(block)
    return b"".join(blocks)


def _decompress_snappy_block(block: bytes, max_bytes: int) -> bytes:
    try:
        size = _cramjam().snappy.decompress_raw_len(block)
        if size > max_bytes:
            raise _too_large(max_bytes)
        output = bytearray(size)
        written = _cramjam().snappy.decompress_raw_into(block, output)
    except _cramjam().DecompressionError as error:
        raise _corrupt(error) from None
    if written != size:
        raise KafkaError(ErrorCode.corrupt_message, "a snappy block is shorter than it says")
    return bytes(output)


def _decompress_growing(inflate_into: Callable[[Any, Any], int], data: bytes, max_bytes: int) -> bytes:
    """Inflate into a buffer of a guessed size, and into larger ones up to the bound as long as it overflows.

    The sizes grow geometrically, so a wrong guess costs a fraction of the last pass.
    """
    size = min(max_bytes, max(_FIRST_GUESS_MIN, _FIRST_GUESS_RATIO * len(data)))
    while True:
        output = bytearray(size)
        try:
            written = inflate_into(data, output)
        except _cramjam().DecompressionError as error:
            if _OUTPUT_FULL not in str(error):
                raise _corrupt(error) from None
        else:
            with memoryview(output) as view:
                return bytes(view[:written])
        if size >= max_bytes:
            raise _too_large(max_bytes)
        size = min(max_bytes, size * _GROWTH)


def _corrupt(error: Exception) -> KafkaError:
    return KafkaError(ErrorCode.corrupt_message, f"cannot decompress: {error}")


def _too_large(max_bytes: int) -> KafkaError:
    return KafkaError(ErrorCode.message_too_large, f"the batch inflates to more than {max_bytes} bytes")


def _unknown(codec: int) -> KafkaError:
    return KafkaError(ErrorCode.unsupported_compression_type, f"there is no compression codec {codec}")
