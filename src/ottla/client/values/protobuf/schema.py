"""The messages of a Protobuf schema, with names resolved, as their values need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ottla.client.values.interface import ValuesError
from ottla.client.values.protobuf.known import KNOWN_TEXTS
from ottla.protocol.errors import KafkaError
from ottla.records.varint import encode_varint, read_varint
from ottla.schemas.limits import Budget, check_size
from ottla.schemas.protobuf import read_file
from ottla.schemas.protobuf.model import (
    MAX_TAG,
    SCALARS,
    Enum,
    Field,
    File,
    Group,
    Message,
    Option,
    Type,
    Word,
)
from ottla.schemas.protobuf.names import KNOWN_FILES, Names, Scope
from ottla.schemas.schema import InvalidSchemaError

__all__ = [
    "EnumType",
    "FieldType",
    "MessageType",
    "Messages",
    "imports_of",
    "messages_of",
    "read_indexes",
    "written_indexes",
]

_MAX_INDEXES: Final = 100


@dataclass(eq=False, slots=True)
class EnumType:
    """`is_closed`: a number without a name is as if it were not there."""

    name: str
    constants: Sequence[tuple[str, int]]
    is_closed: bool


@dataclass(eq=False, slots=True)
class FieldType:
    """`type` is a scalar's name, or None for a message whose fields nobody has: its encoding is the value.

    `has_presence`: that it is absent can be told from its zero. `one_of` names the oneof that it is in, `key`
    is the type of a map's keys. `options` are those that its declaration has.
    """

    name: str
    number: int
    type: str | EnumType | MessageType | None
    is_repeated: bool = False
    has_presence: bool = False
    is_packed: bool = False
    is_group: bool = False
    one_of: str | None = None
    key: str | None = None
    options: Sequence[Option] = ()


@dataclass(eq=False, slots=True)
class MessageType:
    """`fields` are in the order of their numbers."""

    name: str
    fields: list[FieldType] = field(default_factory=list)


def messages_of(text: str, files: Mapping[str, str]) -> Messages:
    """Parsed once: an encoder is made for each batch."""
    return _parsed(text, tuple(files.items()))


@lru_cache(maxsize=8)
def _parsed(text: str, files: tuple[tuple[str, str], ...]) -> Messages:
    return Messages(text, dict(files))


class Messages:
    """Those of one file, which any thread may ask. Raises `ValuesError` for what is no schema."""

    def __init__(self, text: str, references: Mapping[str, str] = {}) -> None:
        try:
            check_size(text, references)
            budget = Budget("the schema")
            files = _files(text, references, budget)
            self._names = Names(files[""], {name: file for name, file in files.items() if name}, budget)
        except InvalidSchemaError as error:
            raise ValuesError(f"the Protobuf schema is none: {error}") from None
        except RecursionError:
            raise ValuesError("the Protobuf schema is nested too deep") from None
        self._files = files
        self._made: Mapping[int, MessageType | EnumType] = {}
        self._indexes = dict(_walk(self._names.root, files[""].types, ()))

    def find(self, name: str) -> tuple[int, ...] | None:
        """The indexes of the message of this full name. The entries of maps count where the text has them as
        messages, as texts made of descriptors do."""
        return next((at for at, scope in self._indexes.items() if scope.full == name), None)

    def at(self, indexes: Sequence[int]) -> MessageType:
        """The message that indexes lead to."""
        scope = self._indexes.get(tuple(indexes))
        if scope is None:
            raise ValuesError(f"the schema has no message at {list(indexes)}")
        maker = _Maker(self._names, self._files, {**self._made})
        message = maker.message(scope)
        self._made = maker.made
        return message


@dataclass(slots=True)
class _Maker:
    """Of one message, and the types in it; `made` has those that are begun, too, which lack fields yet."""

    names: Names
    files: Mapping[str, File]
    made: dict[int, MessageType | EnumType]

    def message(self, scope: Scope) -> MessageType:
        try:
            made = self._type(scope)
        except InvalidSchemaError as error:
            raise ValuesError(f"the Protobuf schema is none: {error}") from None
        except RecursionError:
            raise ValuesError("the Protobuf schema's messages lead too deep into one another") from None
        assert isinstance(made, MessageType)
        return made

    def _type(self, scope: Scope) -> MessageType | EnumType:
        made = self.made.get(id(scope))
        if made is not None:
            return made
        syntax = self.files[scope.origin].syntax
        if isinstance(scope.type, Enum):
            constants = [(each.name, each.tag) for each in scope.type.constants]
            closed = _feature(scope.type.options, self.files[scope.origin], "enum_type") == "CLOSED"
            made = EnumType(scope.full, constants, closed or syntax in ("", "proto2"))
            self.made[id(scope)] = made
            return made
        assert isinstance(scope.type, Message)
        message = self.made[id(scope)] = MessageType(scope.full)
        message.fields = self._fields(scope.type, scope)
        return message

    def _fields(self, message: Message, scope: Scope) -> list[FieldType]:
        found = [self._field(each, scope) for each in message.fields]
        found += [self._group(each, scope) for each in message.groups]
        for one_of in message.one_ofs:
            members = [self._field(each, scope) for each in one_of.fields]
            members += [self._group(each, scope) for each in one_of.groups]
            for member in members:
                member.one_of, member.has_presence = one_of.name, True
            found += members
        return _in_order(message.name, found)

    def _field(self, declared: Field, scope: Scope) -> FieldType:
        is_repeated = declared.label == "repeated"
        made = FieldType(declared.name, declared.tag, None, is_repeated, options=declared.options)
        file = self.files[scope.origin]
        pair = self.names.map_of(declared.type, scope)
        if pair is not None:
            made.key, made.is_repeated = pair[0], True
            made.type = self._named(pair[1], scope)
            return made
        made.type = self._named(declared.type, scope)
        if file.syntax in ("", "proto2"):
            made.has_presence = True
        elif file.syntax == "proto3":
            made.has_presence = declared.label == "optional" or not isinstance(made.type, str | EnumType)
        else:
            presence = _feature(declared.options, file, "field_presence")
            made.has_presence = presence != "IMPLICIT" or not isinstance(made.type, str | EnumType)
        if isinstance(made.type, MessageType):
            made.is_group = _feature(declared.options, file, "message_encoding") == "DELIMITED"
        elif made.is_repeated and made.type not in _NOT_PACKED:
            made.is_packed = _is_packed(declared, file)
        return made

    def _group(self, group: Group, scope: Scope) -> FieldType:
        inner = MessageType(f"{scope.full}.{group.name}")
        inner.fields = _in_order(group.name, [self._field(each, scope) for each in group.fields])
        is_repeated = group.label == "repeated"
        return FieldType(
            group.name.lower(), group.tag, inner, is_repeated=is_repeated, has_presence=True, is_group=True
        )

    def _named(self, name: str, scope: Scope) -> str | EnumType | MessageType | None:
        if name in SCALARS:
            return name
        found = self.names.resolve(name, scope)
        if found is None or found.type is None:
            raise InvalidSchemaError(f"the type {name} of {scope.full} is not defined")
        return self._type(found) if found.origin in self.files else None


@lru_cache(maxsize=64)
def imports_of(text: str) -> tuple[str, ...]:
    """The files that a schema's text imports, but for those that everybody has."""
    try:
        file = read_file(text, Budget("the schema"))
    except InvalidSchemaError as error:
        raise ValuesError(f"the Protobuf schema is none: {error}") from None
    return tuple(each for each in _imports(file) if each not in KNOWN_FILES)


def _imports(file: File) -> list[str]:
    return [*file.imports, *file.public_imports, *file.weak_imports]


def _files(text: str, references: Mapping[str, str], budget: Budget) -> dict[str, File]:
    """All that are needed, by name, with those that everybody has; the schema's own is the first, as ""."""
    files = {"": read_file(text, budget)}
    files.update((name, read_file(each, budget)) for name, each in references.items())
    ahead = list(files.values())
    while ahead:
        for name in _imports(ahead.pop()):
            if name not in files and name in KNOWN_TEXTS:
                files[name] = read_file(KNOWN_TEXTS[name], budget)
                ahead.append(files[name])
    return files


def _walk(
    scope: Scope, types: Sequence[Type], indexes: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Scope]]:
    """Messages by their indexes."""
    for at, each in enumerate(each for each in types if isinstance(each, Message)):
        inner = scope.types[each.name]
        yield (*indexes, at), inner
        yield from _walk(inner, each.types, (*indexes, at))


def _in_order(name: str, fields: list[FieldType]) -> list[FieldType]:
    numbers, names = {each.number for each in fields}, {each.name for each in fields}
    if len(numbers) < len(fields) or len(names) < len(fields):
        raise InvalidSchemaError(f"{name} has a number or a name twice")
    if any(not 1 <= each <= MAX_TAG for each in sorted(numbers)):
        raise InvalidSchemaError(f"{name} has a number that no field can have")
    return sorted(fields, key=lambda each: each.number)


_NOT_PACKED: Final = (None, "string", "bytes")


def _is_packed(declared: Field, file: File) -> bool:
    written = next((each.value for each in declared.options if each.name == "packed"), None)
    if written is not None:
        return written == Word("true")
    if file.syntax in ("", "proto2"):
        return False
    return _feature(declared.options, file, "repeated_field_encoding") != "EXPANDED"


def _feature(options: Sequence[Option], file: File, name: str) -> str:
    """What an edition's feature is said to be, here or for the file; "" where nobody says."""
    for each in (*options, *file.options):
        if each.name == "features" and not each.custom:
            value = each.value
            if isinstance(value, Option) and value.name == name and isinstance(value.value, Word):
                return value.value.text
            if isinstance(value, Mapping) and isinstance(value.get(name), Word):
                return str(value[name].text)  # type: ignore[union-attr]
    return ""


def read_indexes(data: bytes) -> tuple[tuple[int, ...], int]:
    """What is at the beginning of `data`, and where that ends: a count and that many indexes; none stands for
    the first message. Without indexes where there are none."""
    try:
        count, at = read_varint(data, 0)
        found = []
        for _ in range(count if count <= _MAX_INDEXES else 0):
            index, at = read_varint(data, at)
            found.append(index)
    except (IndexError, KafkaError):
        return (), 0
    return tuple(found) if count else (0,), at


def written_indexes(indexes: tuple[int, ...]) -> bytes:
    if indexes == (0,):
        return b"\0"
    return b"".join(map(encode_varint, (len(indexes), *indexes)))
