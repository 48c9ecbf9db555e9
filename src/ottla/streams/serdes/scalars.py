"""Text, bytes, numbers, truth values, UUIDs: the bytes of org.apache.kafka.common.serialization."""

from __future__ import annotations

import struct
import uuid
from typing import ClassVar, Generic, TypeVar

from ottla.streams.errors import SerializationError

N = TypeVar("N", int, float)


class _Plain:
    """Serdes without settings: equal where they are of one class."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Text(_Plain):
    """Text as UTF-8. Unlike Java's, it replaces nothing: what cannot be encoded or decoded is an error."""

    def serialize(self, topic: str, value: str | None) -> bytes | None:
        if value is None:
            return None
        try:
            return value.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise SerializationError(f"Text does not take {value!r}: {error}") from None

    def deserialize(self, topic: str, data: bytes | None) -> str | None:
        if data is None:
            return None
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise SerializationError(f"no UTF-8: {error}") from None


class Bytes(_Plain):
    """Bytes as they are."""

    def serialize(self, topic: str, value: bytes | None) -> bytes | None:
        if value is None or isinstance(value, bytes):
            return value
        raise SerializationError(f"Bytes does not take {value!r}")

    def deserialize(self, topic: str, data: bytes | None) -> bytes | None:
        return data


class _Number(_Plain, Generic[N]):
    FORMAT: ClassVar[struct.Struct]

    def serialize(self, topic: str, value: N | None) -> bytes | None:
        if value is None:
            return None
        try:
            return self.FORMAT.pack(value)
        except (struct.error, OverflowError):
            raise SerializationError(f"{type(self).__name__} does not take {value!r}") from None

    def deserialize(self, topic: str, data: bytes | None) -> N | None:
        if data is None:
            return None
        if len(data) != self.FORMAT.size:
            raise SerializationError(f"{type(self).__name__} has {self.FORMAT.size} bytes, not {len(data)}")
        value: N = self.FORMAT.unpack(data)[0]
        return value


class Short(_Number[int]):
    """A whole number of 16 bits."""

    FORMAT = struct.Struct(">h")


class Integer(_Number[int]):
    """A whole number of 32 bits."""

    FORMAT = struct.Struct(">i")


class Long(_Number[int]):
    """A whole number of 64 bits."""

    FORMAT = struct.Struct(">q")


class Float(_Number[float]):
    """A floating point number of 32 bits."""

    FORMAT = struct.Struct(">f")


class Double(_Number[float]):
    """A floating point number of 64 bits."""

    FORMAT = struct.Struct(">d")


class Boolean(_Plain):
    """One byte: 1 or 0."""

    def serialize(self, topic: str, value: bool | None) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, bool):
            raise SerializationError(f"Boolean does not take {value!r}")
        return b"\x01" if value else b"\x00"

    def deserialize(self, topic: str, data: bytes | None) -> bool | None:
        if data is None:
            return None
        if data not in (b"\x00", b"\x01"):
            raise SerializationError(f"a Boolean is one byte, 0 or 1, not {data[:16]!r}")
        return data == b"\x01"


class UUID(_Plain):
    """A UUID as its 36 characters."""

    def serialize(self, topic: str, value: uuid.UUID | None) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, uuid.UUID):
            raise SerializationError(f"UUID does not take {value!r}")
        return str(value).encode()

    def deserialize(self, topic: str, data: bytes | None) -> uuid.UUID | None:
        if data is None:
            return None
        try:
            return uuid.UUID(data.decode("ascii"))
        except ValueError:
            raise SerializationError(f"no UUID: {data[:64]!r}") from None


FIXED_SIZES: dict[type, int] = {Short: 2, Integer: 4, Long: 8, Float: 4, Double: 8, UUID: 36}
"""Bytes of each value of the serdes whose values are all of one length."""
