"""A .proto file's text to its elements."""

from __future__ import annotations

from typing import Final

from ottla.schemas.limits import MAX_MESSAGES_DEEP, Budget
from ottla.schemas.protobuf.model import (
    MAX_TAG,
    Constant,
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
    Rpc,
    Service,
    Type,
    Value,
    Word,
    special_last,
)
from ottla.schemas.protobuf.tokens import Tokens

__all__ = ["parse_file"]

_LABELS: Final = ("optional", "required", "repeated")


def parse_file(text: str, budget: Budget) -> File:
    """Raises `InvalidSchemaError`."""
    return _Parser(Tokens(text, budget), budget).file()


class _Parser:
    def __init__(self, tokens: Tokens, budget: Budget) -> None:
        self._tokens = tokens
        self._budget = budget

    def file(self) -> File:
        tokens = self._tokens
        file = File()
        while not tokens.ended:
            if tokens.take(";"):
                continue
            word = tokens.word()
            if word in ("syntax", "edition"):
                file.syntax = self._syntax(word)
            elif word == "package":
                file.package = tokens.names()
                tokens.expect(";")
            elif word == "import":
                self._import(file)
            elif word == "service":
                file.services.append(self._service())
            elif word == "option":
                file.options.append(self._option_statement())
            elif word in ("message", "enum"):
                file.types.append(self._type(word, 1))
            elif word == "extend":
                file.extends.append(self._extend())
            else:
                raise tokens.error(f"{word[:50]!r} is not understood here")
        return file

    def _syntax(self, word: str) -> str:
        tokens = self._tokens
        tokens.expect("=")
        syntax = tokens.string()
        if (syntax in ("proto2", "proto3")) != (word == "syntax"):
            raise tokens.error(f"{syntax[:50]!r} is no {word}")
        tokens.expect(";")
        return syntax

    def _import(self, file: File) -> None:
        tokens = self._tokens
        if tokens.take("public"):
            imports = file.public_imports
        else:
            imports = file.weak_imports if tokens.take("weak") else file.imports
        imports.append(tokens.string())
        tokens.expect(";")

    def _type(self, word: str, depth: int) -> Type:
        self._check_depth(depth)
        return self._message(depth) if word == "message" else self._enum()

    def _check_depth(self, depth: int) -> None:
        self._budget.spend()
        if depth > MAX_MESSAGES_DEEP:
            raise self._tokens.error(f"nested more than {MAX_MESSAGES_DEEP} levels deep")

    def _message(self, depth: int) -> Message:
        tokens = self._tokens
        message = Message(tokens.name())
        tokens.expect("{")
        while not tokens.take("}"):
            if not tokens.take(";"):
                self._member(message, tokens.word(), depth)
        return message

    def _member(self, message: Message, word: str, depth: int) -> None:
        if word in ("message", "enum"):
            message.types.append(self._type(word, depth + 1))
        elif word == "oneof":
            message.one_ofs.append(self._one_of())
        elif word == "extend":
            message.extends.append(self._extend())
        elif word == "option":
            message.options.append(self._option_statement())
        elif word == "reserved":
            message.reserved.append(self._reserved(MAX_TAG))
        elif word == "extensions":
            message.extensions.append(self._extensions())
        else:
            self._field_or_group(word, message.fields, message.groups)

    def _field_or_group(self, word: str, fields: list[Field], groups: list[Group]) -> None:
        label = word if word in _LABELS else ""
        type_ = self._tokens.word() if label else word
        if type_ == "group":
            groups.append(self._group(label))
        else:
            fields.append(self._field(label, type_))

    def _field(self, label: str, type_: str) -> Field:
        tokens = self._tokens
        if type_ == "map" and tokens.take("<"):
            key = tokens.names()
            tokens.expect(",")
            type_ = f"map<{key}, {tokens.names()}>"
            tokens.expect(">")
        name = tokens.name()
        tokens.expect("=")
        tag = tokens.integer()
        options = self._options()
        tokens.expect(";")
        return Field(label, type_, name, tag, special_last(options))

    def _group(self, label: str) -> Group:
        tokens = self._tokens
        name = tokens.name()
        tokens.expect("=")
        tag = tokens.integer()
        fields = self._fields()
        return Group(label, name, tag, fields)

    def _fields(self) -> list[Field]:
        tokens = self._tokens
        fields: list[Field] = []
        tokens.expect("{")
        while not tokens.take("}"):
            if tokens.take(";"):
                continue
            word = tokens.word()
            label = word if word in _LABELS else ""
            fields.append(self._field(label, tokens.word() if label else word))
        return fields

    def _one_of(self) -> OneOf:
        tokens = self._tokens
        name = tokens.name()
        fields: list[Field] = []
        groups: list[Group] = []
        options: list[Option] = []
        tokens.expect("{")
        while not tokens.take("}"):
            if tokens.take(";"):
                continue
            word = tokens.word()
            if word == "option":
                options.append(self._option_statement())
            elif word in _LABELS:
                raise tokens.error(f"{word} has no meaning in a oneof")
            else:
                self._field_or_group(word, fields, groups)
        return OneOf(name, fields, groups, options)

    def _extend(self) -> Extend:
        name = self._tokens.names()
        return Extend(name, self._fields())

    def _enum(self) -> Enum:
        tokens = self._tokens
        name = tokens.name()
        constants: list[Constant] = []
        reserved: list[Reserved] = []
        options: list[Option] = []
        tokens.expect("{")
        while not tokens.take("}"):
            if tokens.take(";"):
                continue
            if tokens.take("option"):
                options.append(self._option_statement())
                continue
            word = tokens.name()
            if word == "reserved" and not tokens.peek("="):
                reserved.append(self._reserved((1 << 31) - 1))
                continue
            tokens.expect("=")
            tag = tokens.integer()
            constants.append(Constant(word, tag, self._options()))
            tokens.expect(";")
        return Enum(name, constants, reserved, options)

    def _reserved(self, largest: int) -> Reserved:
        tokens = self._tokens
        values: list[str | int | Range] = []
        while True:
            values.append(tokens.string() if tokens.string_is_next() else self._range(largest))
            if not tokens.take(","):
                break
        tokens.expect(";")
        return Reserved(values)

    def _range(self, largest: int) -> int | Range:
        tokens = self._tokens
        first = tokens.integer()
        if not tokens.take("to"):
            return first
        last = largest if tokens.take("max") else tokens.integer()
        if last < first:
            raise tokens.error(f"{first} to {last} is no range")
        return Range(first, last)

    def _extensions(self) -> Extensions:
        tokens = self._tokens
        values = [self._range(MAX_TAG)]
        while tokens.take(","):
            values.append(self._range(MAX_TAG))
        options = self._options()
        tokens.expect(";")
        return Extensions(values, options)

    def _service(self) -> Service:
        tokens = self._tokens
        name = tokens.name()
        rpcs: list[Rpc] = []
        options: list[Option] = []
        tokens.expect("{")
        while not tokens.take("}"):
            if tokens.take(";"):
                continue
            if tokens.take("option"):
                options.append(self._option_statement())
            else:
                tokens.expect("rpc")
                rpcs.append(self._rpc())
        return Service(name, rpcs, options)

    def _rpc(self) -> Rpc:
        tokens = self._tokens
        name = tokens.name()
        request_streams, request = self._rpc_type()
        tokens.expect("returns")
        response_streams, response = self._rpc_type()
        options: list[Option] = []
        if tokens.take("{"):
            while not tokens.take("}"):
                if not tokens.take(";"):
                    tokens.expect("option")
                    options.append(self._option_statement())
            tokens.take(";")
        else:
            tokens.expect(";")
        return Rpc(name, request, response, request_streams, response_streams, options)

    def _rpc_type(self) -> tuple[bool, str]:
        tokens = self._tokens
        tokens.expect("(")
        type_ = tokens.names()
        streams = type_ == "stream" and not tokens.peek(")")
        if streams:
            type_ = tokens.names()
        tokens.expect(")")
        return streams, type_

    def _option_statement(self) -> Option:
        option = self._option()
        self._tokens.expect(";")
        return option

    def _options(self) -> list[Option]:
        """Those in brackets, if there are any."""
        tokens = self._tokens
        options: list[Option] = []
        if tokens.take("["):
            options.append(self._option())
            while tokens.take(","):
                options.append(self._option())
            tokens.expect("]")
        return options

    def _option(self) -> Option:
        tokens = self._tokens
        custom = tokens.take("(")
        if custom:
            name = tokens.names()
            tokens.expect(")")
            path = tokens.word() if not tokens.peek("=") else ""
            parts = [part for part in path.split(".") if part]
            if path and (not path.startswith(".") or len(parts) != path.count(".")):
                raise tokens.error(f"{path[:50]!r} is no part of an option")
        else:
            name, *parts = tokens.names().removeprefix(".").split(".")
        # What follows in parentheses again, as in (a).(b).c
        while tokens.take("("):
            parts.append(f"({tokens.names()})")
            tokens.expect(")")
            if not tokens.peek("="):
                parts += [part for part in tokens.word().split(".") if part]
        tokens.expect("=")
        value = self._value(1)
        self._check_depth(len(parts))
        for part in reversed(parts):
            value = Option(part, value)
        return Option(name, value, custom)

    def _value(self, depth: int) -> Value:
        tokens = self._tokens
        self._check_depth(depth)
        if tokens.string_is_next():
            return tokens.string()
        if tokens.take("{"):
            return self._map("}", depth)
        if tokens.take("<"):
            return self._map(">", depth)
        if tokens.take("["):
            values: list[Value] = []
            while not tokens.take("]"):
                values.append(self._value(depth + 1))
                if not tokens.take(","):
                    tokens.expect("]")
                    break
            return values
        return Word(tokens.word())

    def _map(self, end: str, depth: int) -> Value:
        """A message in text format. A name that comes again makes a list."""
        tokens = self._tokens
        values: dict[str, Value] = {}
        while not tokens.take(end):
            name = self._key()
            colon = tokens.take(":")
            if not colon and not tokens.peek("{") and not tokens.peek("<"):
                tokens.expect(":")
            value = self._value(depth + 1)
            known = values.get(name)
            if known is None:
                values[name] = value
            elif isinstance(known, list):
                known.append(value)
            else:
                values[name] = [known, value]
            if not tokens.take(","):
                tokens.take(";")
        return values

    def _key(self) -> str:
        tokens = self._tokens
        if not tokens.take("["):
            return tokens.name()
        name = tokens.names()
        while tokens.take("/"):
            name += f"/{tokens.names()}"
        tokens.expect("]")
        return f"[{name}]"
