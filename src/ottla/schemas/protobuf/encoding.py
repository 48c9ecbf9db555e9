"""A .proto file's elements to a FileDescriptorProto, which clients load without a compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ottla.schemas.protobuf.model import (
    MAX_TAG,
    SCALARS,
    Constant,
    Enum,
    Extensions,
    Field,
    File,
    Group,
    Message,
    Option,
    Range,
    Reserved,
    Service,
    Value,
    Word,
    listed,
)
from ottla.schemas.protobuf.names import KNOWN_FILES, Names, Scope
from ottla.schemas.protobuf.numbers import (
    CONSTANT_OPTIONS,
    ENUM_OPTIONS,
    FIELD_OPTIONS,
    FILE_OPTIONS,
    FIRST_EDITION,
    LABELS,
    MESSAGE_OPTIONS,
    META,
    RPC_OPTIONS,
    SERVICE_OPTIONS,
    TYPES,
    Words,
)
from ottla.schemas.protobuf.wire import number, record, text

__all__ = ["Encoder"]

_NAME: Final = "default"
"""As in Confluent's registry; who loads it gives it the name of the reference."""
_INT32_MAX: Final = (1 << 31) - 1


class Encoder:
    """Encodes one file. Options that are declared in other files are left out, but for Confluent's own."""

    def __init__(self, names: Names, references: Iterable[str]) -> None:
        self._names = names
        self._known = {*references, *KNOWN_FILES}
        self._syntax = ""

    def file(self, file: File) -> bytes:
        self._syntax = file.syntax
        root = self._names.root
        imports = [*file.imports, *file.public_imports, *file.weak_imports]
        imports = [name for name in dict.fromkeys(imports) if name in self._known]
        parts = [text(1, _NAME)]
        if file.package:
            parts.append(text(2, file.package))
        parts += [text(3, name) for name in imports]
        parts += [number(10, i) for i, name in enumerate(imports) if name in file.public_imports]
        parts += [number(11, i) for i, name in enumerate(imports) if name in file.weak_imports]
        for type_ in file.types:
            if isinstance(type_, Message):
                parts.append(record(4, self._message(type_, root.types[type_.name])))
            else:
                parts.append(record(5, _enum(type_)))
        parts += [record(6, self._service(each)) for each in file.services]
        for extend in file.extends:
            parts += [record(7, self._extension(each, extend.name, root)) for each in extend.fields]
        parts += _options(8, file.options, FILE_OPTIONS)
        if file.syntax in ("proto2", "proto3"):
            parts.append(text(12, file.syntax))
        elif file.syntax.isdecimal():
            year, first = FIRST_EDITION
            parts += [text(12, "editions"), number(14, int(file.syntax) - year + first)]
        return b"".join(parts)

    def _message(self, message: Message, scope: Scope) -> bytes:
        fields: list[bytes] = []
        types = [
            record(3, self._message(each, scope.types[each.name]))
            for each in message.types
            if isinstance(each, Message)
        ]
        one_ofs = [text(1, each.name) + _optional(8, each.options) for each in message.one_ofs]
        for field in message.fields:
            extra = b""
            if field.label == "optional" and self._syntax == "proto3":
                extra = number(9, len(one_ofs)) + number(17, 1)
                one_ofs.append(text(1, f"_{field.name}"))
            fields.append(self._field(field, scope, types, extra))
        for position, one_of in enumerate(message.one_ofs):
            index = number(9, position)
            fields += [self._field(each, scope, types, index) for each in one_of.fields]
            fields += [self._group(each, scope, types, index) for each in one_of.groups]
        fields += [self._group(each, scope, types, b"") for each in message.groups]
        parts = [text(1, message.name), *(record(2, each) for each in fields), *types]
        parts += [record(4, _enum(each)) for each in message.types if isinstance(each, Enum)]
        parts += _ranges(5, message.extensions, past_the_end=1)
        for extend in message.extends:
            parts += [record(6, self._extension(each, extend.name, scope)) for each in extend.fields]
        parts += _options(7, message.options, MESSAGE_OPTIONS)
        parts += [record(8, each) for each in one_ofs]
        parts += _ranges(9, message.reserved, past_the_end=1)
        parts += [text(10, name) for name in _names(message.reserved)]
        return b"".join(parts)

    def _field(self, field: Field, scope: Scope, types: list[bytes], extra: bytes) -> bytes:
        """With `map<...>`, `types` gets the message that a map's entry is."""
        if not field.type.startswith("map<"):
            return self._plain(field, scope) + extra
        key, value = self._names.map_of(field.type, scope) or ("", "")
        name = f"{_camel(field.name)}Entry"
        entry = text(1, name) + record(2, self._plain(Field("", key, "key", 1), scope))
        entry += record(2, self._plain(Field("", value, "value", 2), scope))
        types.append(record(3, entry + record(7, number(7, 1))))
        type_ = number(5, _type("message")) + text(6, f".{scope.full}.{name}")
        return _head(field, "repeated") + type_ + _tail(field) + extra

    def _plain(self, field: Field, scope: Scope) -> bytes:
        return _head(field, field.label or "optional") + self._type(field.type, scope) + _tail(field)

    def _group(self, group: Group, scope: Scope, types: list[bytes], extra: bytes) -> bytes:
        fields = b"".join(record(2, self._plain(each, scope)) for each in group.fields)
        types.append(record(3, text(1, group.name) + fields))
        field = Field(group.label, "group", group.name.lower(), group.tag)
        type_ = number(5, _type("group")) + text(6, f".{scope.full}.{group.name}")
        return _head(field, group.label or "optional") + type_ + extra

    def _extension(self, field: Field, extendee: str, scope: Scope) -> bytes:
        return self._plain(field, scope) + text(2, self._name(extendee, scope))

    def _type(self, type_: str, scope: Scope) -> bytes:
        if type_ in SCALARS:
            return number(5, _type(type_))
        found = self._names.resolve(type_, scope)
        kind = "enum" if found is not None and isinstance(found.type, Enum) else "message"
        return number(5, _type(kind)) + text(6, self._name(type_, scope))

    def _name(self, type_: str, scope: Scope) -> str:
        found = self._names.resolve(type_, scope)
        return f".{found.full}" if found is not None else type_

    def _service(self, service: Service) -> bytes:
        root = self._names.root
        parts = [text(1, service.name)]
        for rpc in service.rpcs:
            request, response = self._name(rpc.request, root), self._name(rpc.response, root)
            method = [text(1, rpc.name), text(2, request), text(3, response)]
            method += _options(4, rpc.options, RPC_OPTIONS)
            method += [number(5, 1)] * rpc.request_streams + [number(6, 1)] * rpc.response_streams
            parts.append(record(2, b"".join(method)))
        return b"".join([*parts, *_options(3, service.options, SERVICE_OPTIONS)])


def _head(field: Field, label: str) -> bytes:
    return text(1, field.name) + number(3, field.tag) + number(4, LABELS.index(label))


def _tail(field: Field) -> bytes:
    parts: list[bytes] = []
    for option in field.options:
        if option.custom or not isinstance(option.value, str | Word):
            continue
        if option.name == "default":
            value = option.value
            parts.append(text(7, value.text if isinstance(value, Word) else _default(value, field.type)))
        elif option.name == "json_name" and isinstance(option.value, str):
            parts.append(text(10, option.value))
    return b"".join([*parts, *_options(8, field.options, FIELD_OPTIONS)])


def _default(value: str, type_: str) -> str:
    """Bytes are escaped, as in C."""
    if type_ != "bytes":
        return value
    data = value.encode(errors="surrogateescape")
    return "".join(
        chr(each) if 32 <= each < 127 and each not in b"\\\"'" else f"\\{each:03o}" for each in data
    )


def _enum(enum: Enum) -> bytes:
    parts = [text(1, enum.name), *(record(2, _constant(each)) for each in enum.constants)]
    parts += _options(3, enum.options, ENUM_OPTIONS)
    parts += _ranges(4, enum.reserved, past_the_end=0)
    parts += [text(5, name) for name in _names(enum.reserved)]
    return b"".join(parts)


def _constant(constant: Constant) -> bytes:
    options = _options(3, constant.options, CONSTANT_OPTIONS)
    return b"".join([text(1, constant.name), number(2, constant.tag), *options])


def _ranges(field: int, ranges: Sequence[Reserved | Extensions], *, past_the_end: int) -> list[bytes]:
    parts: list[bytes] = []
    for each in ranges:
        for value in each.values:
            if isinstance(value, str):
                continue
            first, last = value if isinstance(value, Range) else (value, value)
            last = min(last, MAX_TAG if past_the_end else _INT32_MAX)
            parts.append(record(field, number(1, first) + number(2, last + past_the_end)))
    return parts


def _names(reserved: Iterable[Reserved]) -> list[str]:
    return [value for each in reserved for value in each.values if isinstance(value, str)]


def _options(field: int, options: Iterable[Option], words: Words) -> list[bytes]:
    """Nothing, or one record."""
    numbers = {name: (key, kind) for key, (name, kind) in words.items()}
    parts: list[bytes] = []
    for option in options:
        if option.custom:
            if option.name.startswith("confluent.") and isinstance(option.value, Mapping):
                parts.append(record(META, _meta(option.value)))
        elif option.name in numbers:
            parts.append(_option(*numbers[option.name], option.value))
    return [record(field, b"".join(parts))] if parts else []


def _optional(field: int, options: Iterable[Option]) -> bytes:
    return b"".join(_options(field, options, {}))


def _option(key: int, kind: Sequence[str] | str, value: Value) -> bytes:
    if kind == "string":
        return text(key, value) if isinstance(value, str) else b""
    word = value.text if isinstance(value, Word) else ""
    if kind == "bool":
        return number(key, int(word == "true"))
    return number(key, kind.index(word)) if word in kind and not isinstance(kind, str) else b""


def _meta(meta: Mapping[str, Value]) -> bytes:
    parts: list[bytes] = []
    doc = meta.get("doc")
    if isinstance(doc, str):
        parts.append(text(1, doc))
    for param in listed(meta.get("params", [])):
        if isinstance(param, Mapping):
            entry = [(1, param.get("key")), (2, param.get("value"))]
            parts.append(record(2, b"".join(text(i, each) for i, each in entry if isinstance(each, str))))
    parts += [text(3, tag) for tag in listed(meta.get("tags", [])) if isinstance(tag, str)]
    return b"".join(parts)


def _type(name: str) -> int:
    return TYPES.index(name) + 1


def _camel(name: str) -> str:
    """As protoc names the message of a map's entries."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
