"""A neutral description of messages, and a notation for declaring our own.

`Struct` and `Field` describe one message at one version; `encode` and `decode` compile them to functions. The
schemas of requests and responses come from kio (`kio_schemas`). Messages that kio has not, such as the
records in `__consumer_offsets`, are declared here with version ranges, as Kafka declares all of its messages:

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

FIXED_FORMATS: Final[Mapping[str, str]] = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "int64": "q",
    "float64": "d",
    "uuid": "16s",
}
"""Types of fixed size, with the `struct` format of each."""

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
_NO_LAST_VERSION: Final = 1 << 15


class Field(NamedTuple):
    """One field of a message at one version.

    `default` stands for a field that is absent: `()` for arrays, `{}` for structs, None for nullable fields
    and for the zero UUID, unless the schema says otherwise.
    """

    name: str
    type: str
    array: bool = False
    nullable: bool = False
    default: Any = None
    tag: int | None = None
    struct: Struct | None = None


class Struct(NamedTuple):
    """A message, or a struct inside one, at one version. `flexible` as in KIP-482: compact lengths, tagged
    fields.
    """

    name: str
    flexible: bool
    fields: tuple[Field, ...]

    @property
    def positional(self) -> tuple[Field, ...]:
        return tuple(each for each in self.fields if each.tag is None)

    @property
    def tagged(self) -> tuple[Field, ...]:
        """The tagged fields in ascending order of tags, which is the order on the wire."""
        return tuple(sorted((each for each in self.fields if each.tag is not None), key=_tag_of))


def _tag_of(each: Field) -> int:
    assert each.tag is not None
    return each.tag


def zero_value(type_: str, *, array: bool, nullable: bool) -> Any:
    """What an absent field without an explicit default stands for."""
    if nullable:
        return None
    if array:
        return ()
    if type_ == "struct":
        return {}
    return _ZERO.get(type_, 0)


def _versions(text: str) -> range:
    """The versions that `"2"`, `"1-3"`, `"2+"` and `"none"` stand for."""
    if text == "none":
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), _NO_LAST_VERSION)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


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

    def at(self, version: int, flexible: bool) -> Field:
        nullable = version in self.nullable
        nested = None
        if self.type == "struct":
            nested = Struct(self.name, flexible, _fields_at(self.fields, version, flexible))
        return Field(
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
        versions=_versions(versions),
        nullable=_versions(nullable),
        default=default,
        tag=tag,
        tagged=_versions((tagged or versions) if tag is not None else "none"),
        fields=fields,
    )


def _fields_at(fields: tuple[VersionedField, ...], version: int, flexible: bool) -> tuple[Field, ...]:
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
        self._versions = _versions(versions)
        self._flexible = _versions(flexible)
        self._encoders: dict[int, _Encoder] = {}
        self._decoders: dict[int, _Decoder] = {}

    def at(self, version: int) -> Struct:
        """The description at one version; ValueError where the message has no such version."""
        if version not in self._versions:
            raise ValueError(f"{self.name} has no version {version}")
        flexible = version in self._flexible
        return Struct(self.name, flexible, _fields_at(self.fields, version, flexible))

    def encode(self, version: int, message: Mapping[str, Any]) -> bytes:
        """Keys that the version lacks are dropped, missing ones filled; EncodeError where a value does not
        fit.
        """
        encoder = self._encoders.get(version)
        if encoder is None:
            from ottla.protocol.encode import compile_encoder

            encoder = self._encoders[version] = compile_encoder(self.at(version))
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
