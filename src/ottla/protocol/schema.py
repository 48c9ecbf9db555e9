"""A notation for declaring messages by hand, decoded to and encoded from dicts.

    OFFSET_COMMIT_VALUE = Message(
        "OffsetCommitValue",
        versions="0-3",
        flexible="none",
        fields=(
            field("offset", "int64"),
            field("leader_epoch", "int32", "3+", default=-1),
            field("metadata", "string"),
            field("commit_timestamp", "int64"),
            field("expire_timestamp", "int64", "1", default=-1),
        ),
    )
    OFFSET_COMMIT_VALUE.encode_prefixed(3, {"offset": 7, "metadata": "", "commit_timestamp": now_ms})
    version, value = OFFSET_COMMIT_VALUE.decode_prefixed(record.value)

A range is `"2"`, `"1-3"`, `"2+"` or `"none"`. Types are `bool`, `int8`, `int16`, `uint16`, `int32`, `int64`,
`float64`, `string`, `bytes`, `records`, `uuid` and `struct`; `[]` in front makes an array. A field that the
version lacks is skipped when encoding and has its default in what decoding gives, so that readers need not
know versions.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ottla.protocol.errors import DecodeError, EncodeError
from ottla.protocol.layout import FIXED_FORMATS, FieldLayout, Layout
from ottla.protocol.structs import version_range

_ZERO: Final[Mapping[str, object]] = {
    "bool": False,
    "float64": 0.0,
    "string": "",
    "bytes": b"",
    "records": None,
    "uuid": None,
}
_TYPES: Final = frozenset((*FIXED_FORMATS, "string", "bytes", "records", "struct"))
_UNSET: Final = object()


def zero_value(type_: str, *, array: bool, nullable: bool) -> Any:
    """What an absent field without an explicit default stands for."""
    if nullable:
        return None
    if array:
        return ()
    if type_ == "struct":
        return {}
    return _ZERO.get(type_, 0)


class VersionedField(NamedTuple):
    """A field with the versions that have it; made by `field`."""

    name: str
    type: str
    array: bool
    versions: range
    nullable: range
    default: Any
    tag: int | None
    tagged: range
    fields: tuple[VersionedField, ...]

    def default_value(self, *, nullable: bool) -> Any:
        if self.default is not _UNSET:
            return self.default
        return zero_value(self.type, array=self.array, nullable=nullable)

    def at(self, version: int, flexible: bool) -> FieldLayout:
        nullable = version in self.nullable
        nested = None
        if self.type == "struct":
            nested = Layout(self.name, flexible, _fields_at(self.fields, version, flexible))
        return FieldLayout(
            name=self.name,
            type=self.type,
            array=self.array,
            nullable=nullable,
            default=self.default_value(nullable=nullable),
            tag=self.tag if version in self.tagged else None,
            struct=nested,
        )


def field(
    name: str,
    type_: str,
    versions: str = "0+",
    *,
    nullable: str = "none",
    default: object = _UNSET,
    tag: int | None = None,
    tagged: str | None = None,
    fields: tuple[VersionedField, ...] = (),
) -> VersionedField:
    """Declare a field of a `Message`; `fields` are those of a struct. With a tag and no `tagged` range, the
    field is tagged wherever it exists.
    """
    array = type_.startswith("[]")
    base = type_.removeprefix("[]")
    if base not in _TYPES:
        raise ValueError(f"{name}: unknown type {base!r}")
    if (base == "struct") != bool(fields):
        raise ValueError(f"{name}: a struct has fields, and nothing else has")
    return VersionedField(
        name=name,
        type=base,
        array=array,
        versions=version_range(versions),
        nullable=version_range(nullable),
        default=default,
        tag=tag,
        tagged=version_range((tagged or versions) if tag is not None else "none"),
        fields=fields,
    )


def _fields_at(fields: tuple[VersionedField, ...], version: int, flexible: bool) -> tuple[FieldLayout, ...]:
    return tuple(each.at(version, flexible) for each in fields if version in each.versions)


_Encoder = Callable[[Mapping[str, Any]], bytes]
_Decoder = Callable[[bytes | memoryview, int], tuple[dict[str, Any], int]]


class Message:
    """A message of our own with all its versions. Encoders and decoders are compiled at first use, one per
    version.
    """

    __slots__ = ("_decoders", "_encoders", "_flexible", "_versions", "fields", "name")

    def __init__(self, name: str, versions: str, flexible: str, fields: tuple[VersionedField, ...]) -> None:
        self.name = name
        self.fields = fields
        self._versions = version_range(versions)
        self._flexible = version_range(flexible)
        self._encoders: dict[int, _Encoder] = {}
        self._decoders: dict[int, _Decoder] = {}

    def at(self, version: int) -> Layout:
        """The description at one version; ValueError where the message has no such version."""
        if version not in self._versions:
            raise ValueError(f"{self.name} has no version {version}")
        flexible = version in self._flexible
        return Layout(self.name, flexible, _fields_at(self.fields, version, flexible))

    def encode(self, version: int, message: Mapping[str, Any]) -> bytes:
        """Keys that the version lacks are dropped, missing ones filled; EncodeError where a value does not
        fit.
        """
        encoder = self._encoders.get(version)
        if encoder is None:
            from ottla.protocol.encode import compile_dict_encoder

            encoder = self._encoders[version] = compile_dict_encoder(self.at(version))
        return encoder(message)

    def decode(self, version: int, buffer: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """The message with every field of every version, absent ones at their default; DecodeError on
        nonsense.
        """
        decoder = self._decoders.get(version)
        if decoder is None:
            decoder = self._decoders[version] = self._compile_decoder(version)
        return decoder(buffer, offset)[0]

    def encode_prefixed(self, version: int, message: Mapping[str, Any]) -> bytes:
        """As `encode`, after the version as int16: the form of keys and values in Kafka's internal topics."""
        try:
            return binary.pack(">h", version) + self.encode(version, message)
        except binary.error as error:
            raise EncodeError(f"{self.name}: {error}") from error

    def decode_prefixed(self, buffer: bytes | memoryview) -> tuple[int, dict[str, Any]]:
        """The version and the message; DecodeError for a version that this message has not, too."""
        if len(buffer) < 2:
            raise DecodeError(f"{self.name} without a version")
        (version,) = binary.unpack_from(">h", buffer)
        if version not in self._versions:
            raise DecodeError(f"{self.name} of unknown version {version}")
        return version, self.decode(version, buffer, 2)

    def _compile_decoder(self, version: int) -> _Decoder:
        from ottla.protocol.decode import compile_dict_decoder

        return compile_dict_decoder(self.at(version), _absent_defaults(self.fields, version))


def _absent_defaults(
    fields: tuple[VersionedField, ...], version: int, path: str = ""
) -> dict[str, dict[str, Any]]:
    """By the path of each struct, the defaults of the fields that this version lacks."""
    absent = {
        each.name: each.default_value(nullable=bool(each.nullable))
        for each in fields
        if version not in each.versions
    }
    found = {path: absent}
    for each in fields:
        if version in each.versions and each.fields:
            found |= _absent_defaults(each.fields, version, f"{path}.{each.name}".lstrip("."))
    return found
