"""Protobuf's messages as Connect's schemas, with functions that read them: compiled once for each message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, cast

from ottla.client.values.protobuf.schema import EnumType, FieldType, MessageType
from ottla.connect.converters.protobuf_bytes import (
    BYTES,
    GROUP,
    SCALARS,
    VARINT,
    Member,
    Raw,
    fields_of,
    varint,
)
from ottla.connect.converters.protobuf_schemas import (
    DECIMAL,
    ENUM,
    PROTOBUF_TYPE,
    TAG,
    UNION,
    WRAPPER,
    WRAPPERS,
    ProtobufRules,
    map_name,
)
from ottla.connect.data.logical import DATE, EPOCH, TIME, TIMESTAMP, bytes_to_integer, decimal_schema
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.errors import DataError
from ottla.schemas.protobuf.model import Word

__all__ = ["ProtobufReading", "protobuf_reading"]

_TYPES: Final = {
    "int32": Type.INT32, "sint32": Type.INT32, "sfixed32": Type.INT32, "uint32": Type.INT64,
    "fixed32": Type.INT64, "int64": Type.INT64, "uint64": Type.INT64, "sint64": Type.INT64,
    "fixed64": Type.INT64, "sfixed64": Type.INT64, "float": Type.FLOAT32, "double": Type.FLOAT64,
    "bool": Type.BOOLEAN, "string": Type.STRING, "bytes": Type.BYTES,
}  # fmt: skip
_PLAIN: Final = ("int32", "int64", "float", "double", "bool", "string", "bytes")

_Found = Sequence[Raw]
_Read = Callable[[_Found], Value]
"""Of what was found of a field, which may be nothing."""


class ProtobufReading(NamedTuple):
    """Connect's schema of a message, and what reads its values."""

    schema: Schema
    read: Callable[[memoryview], Value]


def protobuf_reading(message: MessageType, rules: ProtobufRules) -> ProtobufReading:
    """Raises DataError for what Connect has no schema for."""
    if rules.wrapper_for_raw_primitives and message.name in WRAPPERS:
        value = message.fields[0]
        one = _scalar(cast("str", value.type))
        return ProtobufReading(Schema(one.type), lambda data: one.read(fields_of(data).get(1, ())))
    return _Reading(rules).message(message)


class _Part(NamedTuple):
    """Of one value: its schema, what reads it, and what it is where nothing was found."""

    schema: Schema
    read: _Read

    @property
    def type(self) -> Type:
        return self.schema.type


def _last(found: _Found, wire: int) -> int | memoryview | None:
    return next((raw for kind, raw in reversed(found) if kind == wire), None)


def _joined(found: _Found, wire: int = BYTES) -> memoryview:
    """A message that comes twice is one: what is behind is added to what is before."""
    parts = [raw for kind, raw in found if kind == wire and isinstance(raw, memoryview)]
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _scalar(kind: str, default: Value = None) -> _Part:
    scalar = SCALARS[kind]
    parameters = None if kind in _PLAIN else {PROTOBUF_TYPE: kind}
    zero = scalar.zero if default is None else default

    def read(found: _Found) -> Value:
        raw = _last(found, scalar.wire)
        return zero if raw is None else scalar.read(raw)

    return _Part(Schema(_TYPES[kind], parameters=parameters), read)


def _numbers(found: _Found) -> tuple[int, int, int, int]:
    """Of a message of small numbers, the first four fields."""
    inner = fields_of(_joined(found))
    signed = SCALARS["int64"].read
    one, two, three, four = (
        cast("int", signed(_last(inner.get(number, ()), VARINT) or 0)) for number in range(1, 5)
    )
    return one, two, three, four


def _decimal(found: _Found) -> Value:
    inner = fields_of(_joined(found))
    digits = bytes(cast("memoryview", _last(inner.get(1, ()), BYTES) or b""))
    scale = cast("int", SCALARS["int32"].read(_last(inner.get(3, ()), VARINT) or 0))
    sign, all_digits, _ = Decimal(bytes_to_integer(digits)).as_tuple()
    return Decimal((sign, all_digits, -scale))


def _date(found: _Found) -> Value:
    year, month, day, _ = _numbers(found)
    try:
        return dt.date(year, month, day)
    except (ValueError, OverflowError):
        raise DataError(f"{year}-{month}-{day} is no date of the years 1 to 9999") from None


def _time(found: _Found) -> Value:
    hours, minutes, seconds, nanos = _numbers(found)
    try:
        return dt.time(hours, minutes, seconds, nanos // 1_000_000 * 1000)
    except (ValueError, OverflowError):
        raise DataError(f"{hours}:{minutes}:{seconds} is no time of a day") from None


def _timestamp(found: _Found) -> Value:
    seconds, nanos, *_ = _numbers(found)
    try:
        return EPOCH + dt.timedelta(seconds=seconds, milliseconds=nanos // 1_000_000)
    except OverflowError:
        raise DataError(f"{seconds} s since 1970 are no time of the years 1 to 9999") from None


_READS: Final[Mapping[str, tuple[Schema, _Read]]] = {
    "google.type.Date": (DATE, _date),
    "google.type.TimeOfDay": (TIME, _time),
    "google.protobuf.Timestamp": (TIMESTAMP, _timestamp),
}


class _Reading:
    def __init__(self, rules: ProtobufRules) -> None:
        self._rules = rules
        self._open: list[str] = []
        self._indexes: dict[str, int] = {}

    def message(self, message: MessageType) -> ProtobufReading:
        if message.name in self._open:
            raise DataError(
                f"the Protobuf message {message.name} is within itself, which Connect has no schema for"
            )
        self._open.append(message.name)
        one_ofs: dict[str, list[FieldType]] = {}
        for field in message.fields:
            if field.one_of is not None:
                one_ofs.setdefault(field.one_of, []).append(field)
        fields: list[tuple[str, Schema]] = []
        reads: list[Callable[[Mapping[int, _Found]], Value]] = []
        rivals: dict[int, Member] = {}
        for index, (name, members) in enumerate(one_ofs.items()):
            for called, one, read in self._union(message, index, name, members):
                fields.append((called, one))
                reads.append(read)
            numbers = [each.number for each in members]
            for each in members:
                others = [number for number in numbers if number != each.number]
                rivals[each.number] = Member(_wire(each), others)
        for member in message.fields:
            if member.one_of is None:
                part = self._field(member)
                fields.append((member.name, part.schema))
                reads.append(self._where_present(member, part.read))
        self._open.pop()
        schema = Schema(Type.STRUCT, name=self._named(message.name), fields=fields)

        def read_message(data: memoryview) -> Value:
            found = fields_of(data, rivals)
            struct = Struct(schema)
            struct.values[:] = [read(found) for read in reads]
            return struct

        return ProtobufReading(schema, read_message)

    def _named(self, name: str) -> str:
        return name if self._rules.enhanced else name.rpartition(".")[2]

    def _where_present(self, field: FieldType, read: _Read) -> Callable[[Mapping[int, _Found]], Value]:
        number = field.number
        is_message = not isinstance(field.type, str | EnumType)
        always = field.is_repeated or not field.has_presence or self._rules.struct_for_nulls
        if not is_message and field.has_presence and not self._rules.optional_for_proto2:
            always = True
        if always:
            return lambda found: read(found.get(number, ()))
        return lambda found: read(found[number]) if number in found else None

    def _union(
        self, message: MessageType, index: int, name: str, members: Sequence[FieldType]
    ) -> list[tuple[str, Schema, Callable[[Mapping[int, _Found]], Value]]]:
        parts = [self._field(member, in_union=True) for member in members]
        if self._rules.flatten_unions:
            return [
                (member.name, part.schema, _one(member.number, part.read))
                for member, part in zip(members, parts, strict=True)
            ]
        full = f"{message.name}.{name}" if self._rules.enhanced else name
        pairs = [(member.name, part.schema) for member, part in zip(members, parts, strict=True)]
        schema = Schema(Type.STRUCT, optional=True, name=f"{UNION}.{full}", fields=pairs)
        reads = {
            member.number: (at, part.read)
            for at, (member, part) in enumerate(zip(members, parts, strict=True))
        }

        def read_union(found: Mapping[int, _Found]) -> Value:
            for number, (at, read) in reads.items():
                if number in found:
                    struct = Struct(schema)
                    struct.values[at] = read(found[number])
                    return struct
            return None

        return [(f"{name}_{index}" if self._rules.index_for_unions else name, schema, read_union)]

    def _field(self, field: FieldType, *, in_union: bool = False) -> _Part:
        rules = self._rules
        one = self._value(field)
        schema, read = one.schema, one.read
        optional = schema.optional
        if field.is_repeated and field.key is None and schema.type is not Type.MAP:
            read = _repeated(field, read)
            schema, optional = Schema(Type.ARRAY, value_schema=schema.replace(optional=True)), True
        parameters = dict(schema.parameters or {})
        if in_union:
            optional = True
            if rules.wrapper_for_nullables and _message_name(field) in WRAPPERS:
                parameters[WRAPPER] = "true"
        elif rules.optional_for_nullables:
            optional = optional or (field.has_presence and isinstance(field.type, str))
        elif not rules.wrapper_for_nullables:
            optional = True
        parameters[TAG] = str(field.number)
        return _Part(schema.replace(optional=optional, parameters=parameters), read)

    def _value(self, field: FieldType) -> _Part:
        """Of one value of a field."""
        kind = field.type
        if field.key is not None:
            return self._map(field)
        if isinstance(kind, str):
            part = _scalar(kind, _default(field, kind))
            small = _said(field).get("connect.type")
            if kind in ("int32", "sint32", "sfixed32") and small in ("int8", "int16"):
                return _Part(Schema(Type[small.upper()]), _held(part.read, Type[small.upper()]))
            return part
        if isinstance(kind, EnumType):
            return self._enum(field, kind)
        if kind is None:
            raise DataError(f"the field {field.name} is of a message whose fields are not known")
        if kind.name == DECIMAL:
            return _decimal_part(field)
        if kind.name in _READS:
            schema, read = _READS[kind.name]
            return _Part(schema.replace(optional=True), read)
        if self._rules.wrapper_for_nullables and kind.name in WRAPPERS:
            inner = _scalar(cast("str", kind.fields[0].type))
            return _Part(
                Schema(inner.type, optional=True),
                lambda found: inner.read(fields_of(_joined(found)).get(1, ())),
            )
        if field.is_repeated and _is_entry(kind):
            return self._entries(field, kind)
        reading = self.message(kind)
        wire = _wire(field)
        optional = reading.schema.replace(optional=True)

        def read_struct(found: _Found) -> Value:
            struct = reading.read(_joined(found, wire))
            assert isinstance(struct, Struct)
            made = Struct(optional)
            made.values[:] = struct.values
            return made

        return _Part(optional, read_struct)

    def _map(self, field: FieldType) -> _Part:
        """What the text has as `map<key, value>`."""
        camel = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
        key = FieldType("key", 1, field.key)
        value = FieldType("value", 2, field.type)
        return self._entries(field, MessageType(f"{camel}Entry", [key, value]))

    def _entries(self, field: FieldType, entry: MessageType) -> _Part:
        key, value = (self._field(one) for one in entry.fields)
        name = map_name(self._named(entry.name))
        schema = Schema(Type.MAP, optional=True, name=name, key_schema=key.schema, value_schema=value.schema)

        is_message = not isinstance(entry.fields[1].type, str | EnumType)
        null_is_left_out = is_message and not self._rules.struct_for_nulls

        def read_entries(found: _Found) -> Value:
            values: dict[Value, Value] = {}
            for wire, raw in found:
                if wire == BYTES and isinstance(raw, memoryview):
                    inner = fields_of(raw)
                    one = key.read(inner.get(1, ()))
                    if isinstance(one, list | dict):
                        raise DataError("a key of a map cannot be an array or a map")
                    values[one] = (
                        None if null_is_left_out and 2 not in inner else value.read(inner.get(2, ()))
                    )
            return values

        return _Part(schema, read_entries)

    def _enum(self, field: FieldType, kind: EnumType) -> _Part:
        simple = kind.name.rpartition(".")[2]
        parameters = {ENUM: simple, **{f"{ENUM}.{name}": str(number) for name, number in kind.constants}}
        as_number = self._rules.int_for_enums
        schema = Schema(
            Type.INT32 if as_number else Type.STRING,
            optional=True,
            name=self._named(kind.name),
            parameters=parameters,
        )
        by_number: dict[int, str] = {}
        for name, number in kind.constants:
            by_number.setdefault(number, name)
        by_name = dict(kind.constants)
        said = next((one.value for one in field.options if one.name == "default" and not one.custom), None)
        zero = by_name.get(said.text if isinstance(said, Word) else "", kind.constants[0][1])
        to_number = SCALARS["int32"].read

        def read(found: _Found) -> Value:
            numbers = (cast("int", to_number(raw)) for wire, raw in reversed(found) if wire == VARINT)
            number = next((one for one in numbers if not kind.is_closed or one in by_number), zero)
            if as_number:
                return number
            return by_number.get(number) or f"UNKNOWN_ENUM_VALUE_{simple}_{number}"

        return _Part(schema, read)


def _one(number: int, read: _Read) -> Callable[[Mapping[int, _Found]], Value]:
    return lambda found: read(found[number]) if number in found else None


def _message_name(field: FieldType) -> str:
    return field.type.name if isinstance(field.type, MessageType) else ""


def _held(read: _Read, kind: Type) -> _Read:
    size = 8 if kind is Type.INT8 else 16

    def read_small(found: _Found) -> Value:
        value = cast("int", read(found))
        if not -(1 << (size - 1)) <= value < 1 << (size - 1):
            raise DataError(f"{value} is out of range for {kind}")
        return value

    return read_small


def _wire(field: FieldType) -> int:
    """Of one value."""
    if isinstance(field.type, str):
        return SCALARS[field.type].wire
    return VARINT if isinstance(field.type, EnumType) else GROUP if field.is_group else BYTES


def _repeated(field: FieldType, read: _Read) -> _Read:
    """All that was found; numbers may be packed, whatever the schema says of that."""
    wire = _wire(field)

    def read_all(found: _Found) -> Value:
        values: list[Value] = []
        for one in found:
            if one[0] == wire:
                values.append(read((one,)))
            elif one[0] == BYTES and wire not in (BYTES, GROUP):
                values += [read((each,)) for each in _unpacked(cast("memoryview", one[1]), wire)]
        return values

    return read_all


def _unpacked(data: memoryview, wire: int) -> Sequence[Raw]:
    if wire == VARINT:
        numbers: list[Raw] = []
        at = 0
        try:
            while at < len(data):
                number, at = varint(data, at)
                numbers.append((VARINT, number))
        except IndexError:
            raise DataError("packed numbers that end early") from None
        return numbers
    size = 8 if wire == 1 else 4
    if len(data) % size:
        raise DataError("packed numbers that end early")
    return [(wire, data[at : at + size]) for at in range(0, len(data), size)]


def _is_entry(message: MessageType) -> bool:
    """Whether it is what a map's entries are."""
    names = [field.name for field in message.fields]
    repeated = any(field.is_repeated for field in message.fields)
    return message.name.endswith("Entry") and names == ["key", "value"] and not repeated


def _said(field: FieldType) -> Mapping[str, str]:
    """The parameters of `confluent.field_meta`."""
    found: dict[str, str] = {}
    for option in field.options:
        if not option.custom or option.name.lstrip(".") != "confluent.field_meta":
            continue
        params = option.value.get("params") if isinstance(option.value, Mapping) else None
        for one in params if isinstance(params, list) else [params]:
            if isinstance(one, Mapping) and isinstance(one.get("key"), str):
                found[str(one["key"])] = str(one.get("value"))
    return found


def _decimal_part(field: FieldType) -> _Part:
    said = _said(field)
    scale, precision = said.get("scale", "0"), said.get("precision")
    schema = decimal_schema(int(scale) if scale.lstrip("-").isdecimal() and len(scale) < 10 else 0)
    if precision is not None and precision.isdecimal():
        schema = schema.replace(
            parameters={**(schema.parameters or {}), "connect.decimal.precision": precision}
        )
    return _Part(schema.replace(optional=True), _decimal)


def _default(field: FieldType, kind: str) -> Value:
    """What proto2 says a field is where it is absent."""
    said = next((one.value for one in field.options if one.name == "default" and not one.custom), None)
    text = said.text if isinstance(said, Word) else said
    if not isinstance(text, str):
        return None
    try:
        match _TYPES[kind]:
            case Type.STRING:
                return text
            case Type.BYTES:
                return text.encode(errors="surrogateescape")
            case Type.BOOLEAN:
                return text == "true"
            case Type.FLOAT32 | Type.FLOAT64:
                return float(text)
            case _:
                return int(
                    text, 8 if text.lstrip("-").startswith("0") and text.strip("-0").isdecimal() else 0
                )
    except ValueError:
        return None
