"""A `HashMap<byte[], byte[]>` as Java serializes it: the file in which Kafka's standalone worker keeps
offsets. Pure.

Read is what Java's ObjectOutputStream writes for it, with references to the class that was told before, and
nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_HEADER: Final = b"\xac\xed\x00\x05"
_OBJECT, _CLASS, _REFERENCE, _ARRAY, _BLOCK, _END, _NULL = 0x73, 0x72, 0x71, 0x75, 0x77, 0x78, 0x70
_HASH_MAP: Final = (
    b"\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02"
    b"F\x00\x0aloadFactorI\x00\x09thresholdxp"
)
_BYTES: Final = b"\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp"
_BYTES_HANDLE: Final = b"\x00\x7e\x00\x02"
"""Class of maps 0, the map 1, class of arrays 2"""


class JavaMapError(ValueError):
    """A file that holds something else."""


def encode(entries: Mapping[bytes, bytes | None]) -> bytes:
    capacity = 16
    while capacity * 0.75 < len(entries):
        capacity *= 2
    parts = [
        _HEADER,
        bytes([_OBJECT, _CLASS]),
        _HASH_MAP,
        struct.pack(">fi", 0.75, int(capacity * 0.75)),
        bytes([_BLOCK, 8]),
        struct.pack(">ii", capacity, len(entries)),
    ]
    is_first = True
    for each in (part for entry in entries.items() for part in entry):
        if each is None:
            parts.append(bytes([_NULL]))
            continue
        class_ = bytes([_CLASS]) + _BYTES if is_first else bytes([_REFERENCE]) + _BYTES_HANDLE
        is_first = False
        parts += [bytes([_ARRAY]), class_, struct.pack(">i", len(each)), each]
    return b"".join([*parts, bytes([_END])])


def decode(data: bytes) -> dict[bytes, bytes | None]:
    """JavaMapError for anything else."""
    reader = _Reader(data)
    reader.expect(_HEADER + bytes([_OBJECT, _CLASS]) + _HASH_MAP)
    reader.take(8)
    reader.expect(bytes([_BLOCK, 8]))
    _, count = struct.unpack(">ii", reader.take(8))
    if not 0 <= count <= len(data):
        raise JavaMapError(f"a map of {count} entries")
    found: dict[bytes, bytes | None] = {}
    for _ in range(count):
        key = reader.array()
        value = reader.array()
        if key is not None:
            found[key] = value
    reader.expect(bytes([_END]))
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        end = self._position + size
        if size < 0 or end > len(self._data):
            raise JavaMapError("it ends too early")
        part = self._data[self._position : end]
        self._position = end
        return part

    def expect(self, wanted: bytes) -> None:
        if self.take(len(wanted)) != wanted:
            raise JavaMapError("it is no HashMap of byte arrays as Java writes it")

    def array(self) -> bytes | None:
        kind = self.take(1)[0]
        if kind == _NULL:
            return None
        if kind == _REFERENCE:  # an array that came before: Java writes equal keys once
            raise JavaMapError("an array that is there twice")
        if kind != _ARRAY:
            raise JavaMapError(f"byte {kind:#x} in place of an array")
        if self.take(1)[0] == _CLASS:
            self.expect(_BYTES)
        else:
            self.expect(_BYTES_HANDLE)
        return self.take(int(struct.unpack(">i", self.take(4))[0]))
