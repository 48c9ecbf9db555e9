"""A FileDescriptorProto, which is what protoc makes of a .proto file, to the file's elements."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence

from ottla.schemas.limits import MAX_MESSAGES_DEEP, Budget
from ottla.schemas.protobuf.model import (
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
    Value,
    Word,
)
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
from ottla.schemas.protobuf.tokens import unescaped
from ottla.schemas.protobuf.wire import Record
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["parse_descriptor"]


def parse_descriptor(text: str, budget: Budget) -> File | None:
    """The file, or None if `text` is no base64. Raises `InvalidSchemaError` if it is, and no descriptor."""
    try:
        data = b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return _file(Record(data, budget)) if data else None


def _file(record: Record) -> File:
    imports = record.texts(3)
    public, weak = record.numbers(10), record.numbers(11)
    syntax = record.text(12)
    if syntax == "editions":
        year, first = FIRST_EDITION
        syntax = str(record.number(14) - first + year)
    return File(
        syntax,
        record.text(2),
        [each for i, each in enumerate(imports) if i not in public and i not in weak],
        [each for i, each in enumerate(imports) if i in public],
        [each for i, each in enumerate(imports) if i in weak],
        [
            *(_message(each, syntax, 1) for each in record.records(4)),
            *(_enum(each) for each in record.records(5)),
        ],
        _extends(record.records(7), syntax),
        [_service(each) for each in record.records(6)],
        _options(record, 8, FILE_OPTIONS, "confluent.file_meta"),
    )


def _message(record: Record, syntax: str, depth: int) -> Message:
    if depth > MAX_MESSAGES_DEEP:
        raise InvalidSchemaError(f"Messages are nested more than {MAX_MESSAGES_DEEP} levels deep")
    types = [_message(each, syntax, depth + 1) for each in record.records(3)]
    message = Message(_name(record))
    one_ofs = [OneOf(each.text(1)) for each in record.records(8)]
    for each in record.records(2):
        position = each.number(9) if each.has(9) and not each.number(17) else None
        if position is not None and position >= len(one_ofs):
            raise InvalidSchemaError("A field is in a oneof that is not there")
        owner = message if position is None else one_ofs[position]
        field = _field(each, syntax, in_one_of=position is not None)
        if each.number(5) == TYPES.index("group") + 1:
            owner.groups.append(_group(field, types))
        else:
            owner.fields.append(field)
    message.one_ofs = [each for each in one_ofs if each.fields or each.groups]
    message.types = [*types, *(_enum(each) for each in record.records(4))]
    message.reserved = [Reserved([_range(each, past_the_end=1)]) for each in record.records(9)]
    message.reserved += [Reserved([each]) for each in record.texts(10)]
    message.extensions = [Extensions([_range(each, past_the_end=1)]) for each in record.records(5)]
    message.extends = _extends(record.records(6), syntax)
    message.options = _options(record, 7, MESSAGE_OPTIONS, "confluent.message_meta")
    return message


def _group(field: Field, types: list[Message]) -> Group:
    """A group is a field and a message at once; the message is taken out of `types`."""
    name = field.type.rpartition(".")[2]
    for message in types:
        if message.name == name:
            types.remove(message)
            return Group(field.label, name, field.tag, message.fields)
    raise InvalidSchemaError(f"The group {name[:50]} has no message")


def _name(record: Record) -> str:
    name = record.text(1)
    if not name.isidentifier():
        raise InvalidSchemaError(f"No name: {name[:50]!r}")
    return name


def _range(record: Record, *, past_the_end: int) -> int | Range:
    first, last = record.integer(1), record.integer(2) - past_the_end
    return first if first == last else Range(first, last)


def _extends(records: Sequence[Record], syntax: str) -> list[Extend]:
    extends: dict[str, Extend] = {}
    for record in records:
        extends.setdefault(record.text(2), Extend(record.text(2), [])).fields.append(_field(record, syntax))
    return list(extends.values())


def _field(record: Record, syntax: str, *, in_one_of: bool = False) -> Field:
    number = record.number(5)
    type_ = record.text(6)
    if not type_:
        if not 1 <= number <= len(TYPES):
            raise InvalidSchemaError(f"The field {record.text(1)[:50]} has no type")
        type_ = TYPES[number - 1]
    options = _options(record, 8, FIELD_OPTIONS, "confluent.field_meta")
    if syntax != "proto3" and record.has(7):
        default = record.text(7)
        texts: Mapping[str, Value] = {"string": default, "bytes": unescaped(default)}
        options.append(Option("default", texts.get(type_, Word(default))))
    if record.has(10):
        options.append(Option("json_name", record.text(10)))
    label = "" if in_one_of else _label(record, syntax)
    return Field(label, type_, _name(record), record.number(3), options)


def _label(record: Record, syntax: str) -> str:
    if record.number(17):
        return "optional"
    label = record.number(4)
    if not label < len(LABELS):
        raise InvalidSchemaError(f"No label: {label}")
    return LABELS[label] if label == LABELS.index("repeated") or syntax in ("", "proto2") else ""


def _enum(record: Record) -> Enum:
    constants = [
        Constant(
            _name(each), each.integer(2), _options(each, 3, CONSTANT_OPTIONS, "confluent.enum_value_meta")
        )
        for each in record.records(2)
    ]
    reserved = [Reserved([_range(each, past_the_end=0)]) for each in record.records(4)]
    reserved += [Reserved([each]) for each in record.texts(5)]
    return Enum(_name(record), constants, reserved, _options(record, 3, ENUM_OPTIONS, "confluent.enum_meta"))


def _service(record: Record) -> Service:
    rpcs = [
        Rpc(
            _name(each),
            each.text(2),
            each.text(3),
            bool(each.number(5)),
            bool(each.number(6)),
            _options(each, 4, RPC_OPTIONS, ""),
        )
        for each in record.records(2)
    ]
    return Service(_name(record), rpcs, _options(record, 3, SERVICE_OPTIONS, ""))


def _options(record: Record, number: int, words: Words, meta: str) -> list[Option]:
    """Those that are known. Others have no names in a descriptor, as in Confluent's registry."""
    options: list[Option] = []
    for each in record.records(number):
        for key, (name, kind) in words.items():
            if each.has(key):
                options.append(Option(name, _option_value(each, key, kind)))
        if meta and each.has(META):
            value = _meta(each.records(META)[-1])
            if value:
                options.append(Option(meta, value, custom=True))
    return options


def _option_value(record: Record, number: int, kind: Sequence[str] | str) -> Value:
    if kind == "string":
        return record.text(number)
    value = record.number(number)
    if kind == "bool":
        return Word("true" if value else "false")
    if not value < len(kind) or not kind[value]:
        raise InvalidSchemaError(f"No value of an option: {value}")
    return Word(kind[value])


def _meta(record: Record) -> Mapping[str, Value]:
    meta: dict[str, Value] = {}
    if record.text(1):
        meta["doc"] = record.text(1)
    params = {each.text(1): each.text(2) for each in record.records(2)}
    if params:
        # The value first for these two, as Confluent's registry has always had it.
        meta["params"] = [
            {"value": value, "key": key} if key in ("precision", "scale") else {"key": key, "value": value}
            for key, value in params.items()
        ]
    if record.texts(3):
        meta["tags"] = [*record.texts(3)]
    return meta
