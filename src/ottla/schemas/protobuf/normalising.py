"""A .proto file with all in one order whose order means nothing, and all names in full."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Final

from ottla.schemas.protobuf.model import (
    SCALARS,
    Enum,
    Extend,
    Extensions,
    Field,
    File,
    Group,
    Message,
    OneOf,
    Option,
    Range,
    Reserved,
    Service,
    Type,
    Value,
    Word,
    listed,
    special_last,
)
from ottla.schemas.protobuf.names import Names, Scope
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Normaliser"]

_NUMBER: Final = re.compile(
    r"(?P<hexadecimal>[+-]?0[xX][0-9a-fA-F]+)|(?P<decimal>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?)[fF]?",
    re.ASCII,
)
_MAX_FIGURES: Final = 30
"""A number with more of them, or with so many zeros, stays as it is written."""


class Normaliser:
    """Makes another file of one. Types stay in order, since the wire format counts them; so do services.

    `strict`: a type that is nowhere is an error, and no name that is left as it is.
    """

    def __init__(self, names: Names, *, strict: bool) -> None:
        self._names = names
        self._strict = strict

    def file(self, file: File) -> File:
        """Raises `InvalidSchemaError`."""
        root = self._names.root
        return File(
            "" if file.syntax == "proto2" else file.syntax,
            file.package,
            sorted(dict.fromkeys(file.imports)),
            sorted(dict.fromkeys(file.public_imports)),
            sorted(dict.fromkeys(file.weak_imports)),
            self._types(file.types, root),
            self._extends(file.extends, root),
            [self._service(each, root) for each in file.services],
            self._options(file.options, root),
        )

    def _types(self, types: Iterable[Type], scope: Scope) -> list[Type]:
        return [
            self._message(each, scope.types[each.name])
            if isinstance(each, Message)
            else self._enum(each, scope)
            for each in types
            if not (isinstance(each, Message) and each.is_map_entry())
        ]

    def _message(self, message: Message, scope: Scope) -> Message:
        one_ofs = [self._one_of(each, scope) for each in message.one_ofs if each.fields]
        return Message(
            message.name,
            self._fields(message.fields, scope),
            sorted(one_ofs, key=lambda each: each.fields[0].tag),
            self._groups(message.groups, scope),
            self._types(message.types, scope),
            _reserved(message.reserved),
            self._extensions(message.extensions, scope),
            self._extends(message.extends, scope),
            self._options(message.options, scope),
        )

    def _enum(self, enum: Enum, scope: Scope) -> Enum:
        constants = [replace(each, options=self._options(each.options, scope)) for each in enum.constants]
        # The first is what is not set, so what it says stays first.
        first = constants[0].tag if constants else 0
        constants.sort(key=lambda each: (each.tag != first, each.tag, each.name))
        return Enum(enum.name, constants, _reserved(enum.reserved), self._options(enum.options, scope))

    def _one_of(self, one_of: OneOf, scope: Scope) -> OneOf:
        fields, groups = self._fields(one_of.fields, scope), self._groups(one_of.groups, scope)
        return OneOf(one_of.name, fields, groups, self._options(one_of.options, scope))

    def _groups(self, groups: Iterable[Group], scope: Scope) -> list[Group]:
        normal = [replace(each, fields=self._fields(each.fields, scope)) for each in groups]
        return sorted(normal, key=lambda each: each.tag)

    def _extensions(self, extensions: Iterable[Extensions], scope: Scope) -> list[Extensions]:
        split = [(_single(value), each.options) for each in extensions for value in each.values]
        split.sort(key=lambda each: _first(each[0]))
        return [Extensions([value], self._options(options, scope)) for value, options in split]

    def _extends(self, extends: Iterable[Extend], scope: Scope) -> list[Extend]:
        fields: dict[str, list[Field]] = {}
        for each in extends:
            fields.setdefault(self._name(each.name, scope), []).extend(each.fields)
        return [Extend(name, self._fields(each, scope)) for name, each in fields.items()]

    def _service(self, service: Service, scope: Scope) -> Service:
        rpcs = [
            replace(
                rpc,
                request=self._name(rpc.request, scope),
                response=self._name(rpc.response, scope),
                options=self._options(rpc.options, scope),
            )
            for rpc in service.rpcs
        ]
        return Service(service.name, rpcs, self._options(service.options, scope))

    def _fields(self, fields: Iterable[Field], scope: Scope) -> list[Field]:
        return sorted((self._field(each, scope) for each in fields), key=lambda each: each.tag)

    def _field(self, field: Field, scope: Scope) -> Field:
        options = special_last(self._options(field.options, scope))
        types = self._names.map_of(field.type, scope)
        if types is None:
            return replace(field, type=self._name(field.type, scope), options=options)
        key, value = types
        return replace(field, label="", type=f"map<{key}, {self._name(value, scope)}>", options=options)

    def _name(self, name: str, scope: Scope) -> str:
        if name in SCALARS:
            return name
        found = self._names.resolve(name, scope)
        if found is not None:
            return f".{found.full}"
        if self._strict:
            raise InvalidSchemaError(f"The type {name} is in no file that is referred to")
        return name

    def _options(self, options: Iterable[Option], scope: Scope) -> list[Option]:
        """By name, declared ones by their full name, and as one message where its parts were set."""
        normal: dict[str, list[Option]] = {}
        for option in options:
            found = self._names.extension(option.name, scope) if option.custom else None
            if found is None:
                normal.setdefault(option.name, []).append(
                    replace(option, value=self._value(option.value, scope))
                )
                continue
            name, declared, where = found
            value = self._value(_as_message(option.value), scope)
            known = normal.setdefault(name, [])
            if known and declared.label != "repeated":
                message = self._names.resolve(declared.type, where)
                known[0] = replace(known[0], value=self._merged(known[0].value, value, message))
            else:
                known.append(Option(name, value, custom=True))
        return [option for name in sorted(normal) for option in normal[name]]

    def _value(self, value: Value, scope: Scope) -> Value:
        if isinstance(value, str):
            return value
        if isinstance(value, Word):
            return Word(_number(value.text))
        if isinstance(value, Option):
            return replace(value, value=self._value(value.value, scope))
        if isinstance(value, Mapping):
            entries = {
                self._key(key, scope): self._value(each, scope) for key, each in value.items() if each != []
            }
            return {key: _unwrapped(entries[key]) for key in sorted(entries)}
        return [self._value(each, scope) for each in value]

    def _merged(self, known: Value, value: Value, scope: Scope | None) -> Value:
        """As if both had been set, one after the other, of a message of type `scope`."""
        if not isinstance(known, dict) or not isinstance(value, dict):
            return value
        fields = _fields_by_name(scope)
        merged = dict(known)
        for key, each in value.items():
            field = fields.get(key)
            if key not in known:
                merged[key] = each
            elif field is None or scope is None or field.label == "repeated":
                merged[key] = [*listed(known[key]), *listed(each)]
            else:
                merged[key] = self._merged(known[key], each, self._names.resolve(field.type, scope))
        return {key: merged[key] for key in sorted(merged)}

    def _key(self, key: str, scope: Scope) -> str:
        found = self._names.extension(key[1:-1], scope) if key.startswith("[") else None
        return f"[{found[0]}]" if found else key


def _as_message(value: Value) -> Value:
    return {value.name: _as_message(value.value)} if isinstance(value, Option) else value


def _fields_by_name(scope: Scope | None) -> Mapping[str, Field]:
    if scope is None or not isinstance(scope.type, Message):
        return {}
    message = scope.type
    return {each.name: each for each in [*message.fields, *(f for o in message.one_ofs for f in o.fields)]}


def _unwrapped(value: Value) -> Value:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _reserved(reserved: Iterable[Reserved]) -> list[Reserved]:
    values = [value for each in reserved for value in each.values]
    numbers = sorted((_single(value) for value in values if not isinstance(value, str)), key=_first)
    names = sorted(value for value in values if isinstance(value, str))
    return [Reserved([value]) for value in (*numbers, *names)]


def _single(value: int | Range) -> int | Range:
    return value.first if isinstance(value, Range) and value.first == value.last else value


def _first(value: int | Range) -> tuple[int, int]:
    return (value.first, value.last) if isinstance(value, Range) else (value, value)


def _number(text: str) -> str:
    """One text for a number however it is written: 0x10 is 16, 1.50 and 1.5f are 1.5."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    try:
        value = Decimal(int(text, 16)) if match["hexadecimal"] else Decimal(match["decimal"])
        value = value.normalize()
    except InvalidOperation:
        return text
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) + abs(exponent) > _MAX_FIGURES:
        return text
    return f"{value:f}"
