"""`plain`'s checksums, the hashes of keys that partitioners use, and rows sorted by partition."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Final

import google_crc32c

from ottla.client.columns.binary import BinaryColumn, RawBinary
from ottla.records.batch import Buffer

__all__ = ["crc32c", "group_rows", "hash_key", "hash_keys"]


def crc32c(data: Buffer, /) -> int:
    """The CRC-32C of `data`."""
    checksum: int = google_crc32c.value(bytes(data))
    return checksum


def _murmur2(key: Buffer) -> int:
    multiplier, mask = 0x5BD1E995, 0xFFFF_FFFF
    size = len(key)
    whole = size & ~3
    result = 0x9747B28C ^ size
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        result = result * multiplier & mask ^ word
    if size > whole:
        result = (result ^ int.from_bytes(key[whole:], "little")) * multiplier & mask
    result = (result ^ result >> 13) * multiplier & mask
    return (result ^ result >> 15) & 0x7FFF_FFFF


def _fnv1a(key: Buffer) -> int:
    result = 0x811C9DC5
    for byte in key:
        result = (result ^ byte) * 0x01000193 & 0xFFFF_FFFF
    return result if result < 1 << 31 else (1 << 32) - result


_HASHES: Final[dict[str, Callable[[Buffer], int]]] = {
    "murmur2": _murmur2,
    "crc32": zlib.crc32,
    "fnv1a": _fnv1a,
}


def hash_key(name: str, key: Buffer, /) -> int:
    """The hash `name` of `key`: "murmur2" as Java's clients have it, "crc32" and "fnv1a" as librdkafka's."""
    if name not in _HASHES:
        raise ValueError(f"there is no hash {name}")
    return _HASHES[name](key)


def hash_keys(name: str, keys: RawBinary, partitions: int, null: int, empty: int, /) -> memoryview:
    """Each key's partition (int32): its hash modulo `partitions`, or what stands for null and empty ones."""
    if name not in _HASHES:
        raise ValueError(f"there is no hash {name}")
    if partitions < 1:
        raise ValueError(f"{partitions} partitions")
    hashed = _HASHES[name]
    return memoryview(
        array(
            "i",
            [
                null if key is None else empty if not key else hashed(key) % partitions
                for key in BinaryColumn(*keys)
            ],
        )
    )


def group_rows(partition: memoryview, partitions: int, /) -> tuple[memoryview, memoryview]:
    """The numbers of the rows (int64) by their `partition` (int32), each partition's in their order; and
    where each of the `partitions` begins among them, the end last."""
    rows: list[list[int]] = [[] for _ in range(partitions)]
    for row, chosen in enumerate(partition):
        if not 0 <= chosen < partitions:
            raise ValueError(f"row {row} is for partition {chosen} of {partitions}")
        rows[chosen].append(row)
    starts = accumulate(map(len, rows), initial=0)
    return memoryview(array("q", [row for each in rows for row in each])), memoryview(array("q", starts))
