"""Programs that read one Avro schema's values as another's (schema resolution, Avro 1.12)."""

from __future__ import annotations

from typing import Final

from ottla.client.values.avro.defaults import encode_default
from ottla.client.values.avro.places import Place
from ottla.client.values.avro.schema import (
    MISSING,
    ArrayType,
    AvroType,
    EnumType,
    Field,
    FixedType,
    MapType,
    Primitive,
    RecordType,
    UnionType,
    branch_name,
    is_null,
)
from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.ops import Op

__all__ = ["compile_reading"]

_READS: Final = {
    ("boolean", "boolean"): Op.BOOLEAN,
    ("int", "int"): Op.INT,
    ("int", "long"): Op.INT_LONG,
    ("int", "float"): Op.INT_FLOAT,
    ("int", "double"): Op.INT_DOUBLE,
    ("long", "long"): Op.LONG,
    ("long", "float"): Op.LONG_FLOAT,
    ("long", "double"): Op.LONG_DOUBLE,
    ("float", "float"): Op.FLOAT,
    ("float", "double"): Op.FLOAT_DOUBLE,
    ("double", "double"): Op.DOUBLE,
    ("bytes", "bytes"): Op.BYTES,
    ("bytes", "string"): Op.STRING,
    ("string", "bytes"): Op.BYTES,
    ("string", "string"): Op.STRING,
}
_SKIPS: Final = {
    "boolean": Op.BOOLEAN,
    "int": Op.INT,
    "long": Op.LONG,
    "float": Op.FLOAT,
    "double": Op.DOUBLE,
    "bytes": Op.BYTES,
    "string": Op.BYTES,
}


class _MismatchError(Exception):
    """The writer's values cannot be the reader's."""


def compile_reading(writer: AvroType, place: Place, builder: ProgramBuilder) -> int:
    """Where the program begins that reads values of `writer` into `place`. What cannot be resolved fails
    when it comes: FAIL says why."""
    resolver = _Resolver(builder)
    try:
        return resolver.resolve(writer, place)
    except _MismatchError as error:
        return builder.fail(str(error))


class _Resolver:
    def __init__(self, builder: ProgramBuilder) -> None:
        self._builder = builder
        self._skips: dict[int, int] = {}

    def resolve(self, writer: AvroType, place: Place) -> int:
        add = self._builder.add
        if isinstance(writer, UnionType):
            branches = [self._branch(each, place) for each in writer.branches]
            return add(Op.UNION, len(branches), *branches)
        reader = place.schema
        if isinstance(reader, UnionType):
            return self._into_union(writer, place)
        if not (_is_same(writer, reader) or _is_close(writer, reader)):
            raise _MismatchError(f"the value is {_said(writer)} where {_said(reader)} is read")
        if place.is_raw:
            return add(Op.RAW, place.column.at, self._skip(writer))
        match writer, reader:
            case Primitive(), Primitive():
                return self._primitive(writer, reader, place)
            case EnumType(), EnumType():
                return self._enum(writer, reader, place)
            case FixedType(), FixedType():
                return self._fixed(writer, reader, place)
            case ArrayType(), _:
                return add(Op.ARRAY, place.column.at, self.resolve(writer.items, place.within[0]))
            case MapType(), _:
                return add(Op.MAP, place.column.at, self.resolve(writer.values, place.within[0]))
            case RecordType(), RecordType():
                return self._record(writer, reader, place)
        raise AssertionError(writer)

    def _branch(self, writer: AvroType, place: Place) -> int:
        try:
            return self.resolve(writer, place)
        except _MismatchError as error:
            return self._builder.fail(str(error))

    def _into_union(self, writer: AvroType, place: Place) -> int:
        """The first branch that is the same, or else the first that the value can be made."""
        assert isinstance(place.schema, UnionType)
        if is_null(writer) and any(is_null(each) for each in place.schema.branches):
            return self._builder.add(Op.NULL, place.column.at)
        for fits in (_is_same, _is_close):
            for index, member in enumerate(place.within):
                if fits(writer, member.schema):
                    op = self.resolve(writer, member)
                    if not place.is_choice:
                        return op
                    return self._builder.add(Op.MEMBER, place.column.at, index, op)
        raise _MismatchError(f"the value is {_said(writer)}, which the union that is read has not")

    def _primitive(self, writer: Primitive, reader: Primitive, place: Place) -> int:
        add, at = self._builder.add, place.column.at
        if writer.name == "null":
            return add(Op.NULL, at)
        if reader.logical is not None:
            match reader.logical.name:
                case "decimal":
                    return self._decimal(writer, reader, place, -1)
                case "time-millis":
                    return add(Op.TIME_MILLIS, at)
                case "time-micros":
                    return add(Op.TIME_MICROS, at)
        return add(_READS[writer.name, reader.name], at)

    def _decimal(
        self, writer: Primitive | FixedType, reader: Primitive | FixedType, place: Place, size: int
    ) -> int:
        assert reader.logical is not None
        if writer.logical is not None and writer.logical.scale != reader.logical.scale:
            raise _MismatchError(
                f"the value has {writer.logical.scale} decimal places where {reader.logical.scale} are read"
            )
        most = 10**reader.logical.precision - 1
        bound = self._builder.constant(most.to_bytes(place.column.width, "little"))
        return self._builder.add(Op.DECIMAL, place.column.at, size, bound)

    def _fixed(self, writer: FixedType, reader: FixedType, place: Place) -> int:
        add, at = self._builder.add, place.column.at
        match None if reader.logical is None else reader.logical.name:
            case "decimal":
                return self._decimal(writer, reader, place, writer.size)
            case "uuid":
                return add(Op.UUID, at)
            case "duration":
                return add(Op.DURATION, at)
        return add(Op.FIXED, at, writer.size)

    def _enum(self, writer: EnumType, reader: EnumType, place: Place) -> int:
        constants = [
            self._builder.constant(each.encode()) if each in reader.symbols else -1 for each in writer.symbols
        ]
        default = -1 if reader.default is None else self._builder.constant(reader.default.encode())
        return self._builder.add(Op.ENUM, place.column.at, default, len(constants), *constants)

    def _record(self, writer: RecordType, reader: RecordType, place: Place) -> int:
        targets = dict(zip([each.name for each in reader.fields], place.within, strict=True))
        written = {each.name for each in writer.fields}
        of_written: dict[str, str] = {}
        for each in reader.fields:
            found = next((name for name in (each.name, *each.aliases) if name in written), None)
            if found is not None:
                of_written.setdefault(found, each.name)
        ops = []
        for each in writer.fields:
            name = of_written.get(each.name)
            ops.append(self._skip(each.type) if name is None else self.resolve(each.type, targets[name]))
        missing = [each for each in reader.fields if each.name not in of_written.values()]
        ops += [self._default(each, targets[each.name]) for each in missing]
        return self._builder.add(Op.RECORD, place.column.at, len(ops), *ops)

    def _default(self, field: Field, place: Place) -> int:
        if field.default is MISSING:
            raise _MismatchError(
                f"the value lacks {field.name}, which has no default in the schema that is read"
            )
        try:
            encoded = encode_default(field.type, field.default)
        except ValuesError as error:
            raise _MismatchError(f"the default of {field.name} is none: {error}") from None
        op = self.resolve(field.type, place)
        return self._builder.add(Op.DEFAULT, op, self._builder.constant(encoded))

    def _skip(self, writer: AvroType) -> int:
        """Passes over a value. Records that are within themselves are instructions that are within
        themselves."""
        add = self._builder.add
        match writer:
            case Primitive():
                return add(Op.NULL, -1) if writer.name == "null" else add(_SKIPS[writer.name], -1)
            case FixedType():
                return add(Op.FIXED, -1, writer.size)
            case EnumType():
                return add(Op.INT, -1)
            case ArrayType():
                return add(Op.ARRAY, -1, self._skip(writer.items))
            case MapType():
                return add(Op.MAP, -1, self._skip(writer.values))
            case UnionType():
                branches = [self._skip(each) for each in writer.branches]
                return add(Op.UNION, len(branches), *branches)
        if id(writer) not in self._skips:
            count = len(writer.fields)
            op = self._skips[id(writer)] = add(Op.RECORD, -1, count, *[0] * count)
            self._builder.fill(op + 3, *[self._skip(each.type) for each in writer.fields])
        return self._skips[id(writer)]


def _is_same(writer: AvroType, reader: AvroType) -> bool:
    match writer, reader:
        case Primitive(), Primitive():
            return writer.name == reader.name
        case (ArrayType(), ArrayType()) | (MapType(), MapType()):
            return True
        case RecordType() | EnumType(), RecordType() | EnumType():
            return type(writer) is type(reader) and writer.name == reader.name
        case FixedType(), FixedType():
            return writer.name == reader.name and writer.size == reader.size
    return False


def _is_close(writer: AvroType, reader: AvroType) -> bool:
    """Whether values of `writer` can be made those of `reader`: promoted, or another name's."""
    match writer, reader:
        case Primitive(), Primitive():
            return (writer.name, reader.name) in _READS or writer.name == reader.name
        case RecordType() | EnumType(), RecordType() | EnumType():
            return type(writer) is type(reader) and _is_known_as(writer.name, reader)
        case FixedType(), FixedType():
            return writer.size == reader.size and _is_known_as(writer.name, reader)
    return False


def _is_known_as(name: str, reader: RecordType | EnumType | FixedType) -> bool:
    if name in reader.aliases:
        return True
    return name.rpartition(".")[2] == reader.name.rpartition(".")[2]


def _said(schema: AvroType) -> str:
    return f"of type {branch_name(schema)}"
