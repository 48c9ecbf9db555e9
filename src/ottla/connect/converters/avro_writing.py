"""Functions that write Connect's values in Avro: compiled once for each pair of schemas.

The Avro schema need not be the one that Connect's is mapped to: fields are found by name, and those that are
not there have Avro's default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from struct import Struct as Packed
from typing import Final, cast

from ottla.connect.converters.avro_reading import branch_name, collect_names, full_name, reading_of, type_of
from ottla.connect.converters.avro_schemas import Avro, is_union
from ottla.connect.data.logical import LOGICAL_TYPES
from ottla.connect.data.schema import RANGES, Schema, Struct, Type, Value, class_of
from ottla.connect.errors import DataError

__all__ = ["avro_writer"]

_FLOAT: Final = Packed("<f")
_DOUBLE: Final = Packed("<d")
_KINDS: Final = {
    Type.INT8: ("int", "long"), Type.INT16: ("int", "long"), Type.INT32: ("int", "long"),
    Type.INT64: ("long", "int"),
    Type.FLOAT32: ("float", "double"), Type.FLOAT64: ("double",), Type.BOOLEAN: ("boolean",),
    Type.STRING: ("string", "enum"), Type.BYTES: ("bytes", "fixed"), Type.ARRAY: ("array",),
    Type.MAP: ("map", "array"),
    Type.STRUCT: ("record", "error"),
}  # fmt: skip

Writer = Callable[[Value, bytearray], None]


def avro_writer(schema: Schema, text: str, resolved: Mapping[str, str]) -> Callable[[Value], bytes]:
    """A function from values of `schema` to bytes, which raises DataError for what is none of them.

    Raises DataError for an Avro schema that such values do not fit.
    """
    avro = json.loads(text)
    names = collect_names(avro, resolved)
    write = _Writing(names).of(schema, avro, "")

    def written(value: Value) -> bytes:
        out = bytearray()
        write(value, out)
        return bytes(out)

    return written


def _long(value: int, out: bytearray) -> None:
    rest = (value << 1) ^ (value >> 63)
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)


class _Writing:
    def __init__(self, names: Mapping[str, dict[str, Avro]]) -> None:
        self._names: Final = names

    def of(self, schema: Schema, avro: Avro, namespace: str) -> Writer:
        """Raises DataError where values of `schema` are none of `avro`."""
        if isinstance(avro, list):
            return self._union(schema, avro, namespace)
        described = self._described(avro, namespace)
        if isinstance(described["type"], list):
            return self._union(schema, described["type"], namespace)
        write = self._present(schema, described, namespace)

        def write_present(value: Value, out: bytearray) -> None:
            if value is None:
                value = schema.default
                if value is None:
                    raise DataError(f"a null where Avro's {type_of(described)} takes none")
            write(value, out)

        return write_present

    def _described(self, avro: Avro, namespace: str) -> dict[str, Avro]:
        if isinstance(avro, str):
            named = self._names.get(f"{namespace}.{avro}") or self._names.get(avro)
            return named or {"type": avro}
        described = cast("dict[str, Avro]", avro)
        inner = described["type"]
        return self._described(inner, namespace) if isinstance(inner, dict) else described

    def _union(self, schema: Schema, branches: Sequence[Avro], namespace: str) -> Writer:
        null = next((index for index, one in enumerate(branches) if type_of(one) == "null"), None)
        write = (self._branches if is_union(schema) else self._branch)(schema, branches, namespace)

        def write_union(value: Value, out: bytearray) -> None:
            if value is None:
                value = schema.default
            if value is not None:
                write(value, out)
            elif null is None:
                raise DataError("a null where Avro's union takes none")
            else:
                _long(null, out)

        return write_union

    def _branch(self, schema: Schema, branches: Sequence[Avro], namespace: str) -> Writer:
        reasons = []
        for index, one in enumerate(branches):
            if type_of(one) == "null":
                continue
            try:
                write = self.of(schema, one, namespace)
            except DataError as error:
                reasons.append(str(error))
                continue

            def write_branch(value: Value, out: bytearray, index: int = index, write: Writer = write) -> None:
                _long(index, out)
                write(value, out)

            return write_branch
        raise DataError(f"{schema} is no branch of Avro's union: {'; '.join(reasons)}")

    def _branches(self, schema: Schema, branches: Sequence[Avro], namespace: str) -> Writer:
        by_name = {branch_name(one): index for index, one in enumerate(branches)}
        writers: list[tuple[int, Writer]] = []
        for field in schema.fields:
            if field.name not in by_name:
                raise DataError(f"Avro's union has no branch {field.name}")
            index = by_name[field.name]
            writers.append((index, self.of(field.schema, branches[index], namespace)))

        def write_chosen(value: Value, out: bytearray) -> None:
            struct = _struct(schema, value)
            for (index, write), one in zip(writers, struct.values, strict=True):
                if one is not None:
                    _long(index, out)
                    write(one, out)
                    return
            raise DataError("a union of which no field has a value")

        return write_chosen

    def _present(self, schema: Schema, avro: dict[str, Avro], namespace: str) -> Writer:
        kind = str(avro["type"])
        if kind not in _KINDS[schema.type]:
            raise DataError(f"{schema} is no {kind} of Avro's")
        if kind in ("record", "error"):
            return self._record(schema, avro, namespace)
        if kind == "map":
            return self._map(schema, avro, namespace)
        if kind == "array":
            return self._array(schema, avro, namespace)
        if kind == "enum":
            return _enum(schema, [str(one) for one in cast("Sequence[Avro]", avro["symbols"])])
        logical = LOGICAL_TYPES.get(schema.name or "")
        size = avro["size"] if kind == "fixed" else None
        write = _primitive(schema.type, kind, cast("int | None", size))
        if logical is None:
            return _checked(schema, write)
        to_base = logical.to_base
        if size is not None:
            return lambda value, out: write(_padded(to_base(schema, value), cast("int", size)), out)
        return lambda value, out: write(to_base(schema, value), out)

    def _record(self, schema: Schema, avro: dict[str, Avro], namespace: str) -> Writer:
        inner = full_name(avro, namespace).rpartition(".")[0]
        writers: list[tuple[int, Value, Writer]] = []
        for one in cast("Sequence[dict[str, Avro]]", avro["fields"]):
            name = str(one["name"])
            field = schema.field(name)
            if field is not None:
                writers.append(
                    (field.index, field.schema.default, self._field(name, field.schema, one["type"], inner))
                )
            elif "default" in one:
                reading = reading_of(one["type"], self._names, inner, one["default"])
                writers.append((-1, reading.schema.default, self.of(reading.schema, one["type"], inner)))
            else:
                raise DataError(f"{schema} has no field {name}, which Avro's record {avro['name']} needs")

        def write(value: Value, out: bytearray) -> None:
            values = _struct(schema, value).values
            for index, default, write_field in writers:
                own = values[index] if index >= 0 else None
                write_field(default if own is None else own, out)

        return write

    def _field(self, name: str, schema: Schema, avro: Avro, namespace: str) -> Writer:
        write = self.of(schema, avro, namespace)

        def write_field(value: Value, out: bytearray) -> None:
            try:
                write(value, out)
            except DataError as error:
                error.add_note(f"in the field {name!r}")
                raise

        return write_field

    def _array(self, schema: Schema, avro: dict[str, Avro], namespace: str) -> Writer:
        if schema.type is Type.MAP:
            return self._entries(schema, avro["items"], namespace)
        element = schema.value_schema
        if element is None:
            raise DataError(f"{schema} says nothing of what is in it")
        write_element = self.of(element, avro["items"], namespace)

        def write(value: Value, out: bytearray) -> None:
            if not isinstance(value, list):
                raise _wrong(schema, value)
            if value:
                _long(len(value), out)
                for one in value:
                    write_element(one, out)
            out.append(0)

        return write

    def _map(self, schema: Schema, avro: dict[str, Avro], namespace: str) -> Writer:
        values = schema.value_schema
        if values is None:
            raise DataError(f"{schema} says nothing of what is in it")
        return self._pairs(
            schema, _primitive(Type.STRING, "string", None), self.of(values, avro["values"], namespace)
        )

    def _entries(self, schema: Schema, items: Avro, namespace: str) -> Writer:
        entry = self._described(items, namespace)
        fields = cast("Sequence[dict[str, Avro]]", entry.get("fields", ()))
        keys, values = schema.key_schema, schema.value_schema
        if [one["name"] for one in fields] != ["key", "value"] or keys is None or values is None:
            raise DataError(f"{schema} is no array of Avro's {type_of(entry)}")
        inner = full_name(entry, namespace).rpartition(".")[0]
        write_key = self.of(keys, fields[0]["type"], inner)
        return self._pairs(schema, write_key, self.of(values, fields[1]["type"], inner))

    def _pairs(self, schema: Schema, write_key: Writer, write_value: Writer) -> Writer:
        def write(value: Value, out: bytearray) -> None:
            if not isinstance(value, dict):
                raise _wrong(schema, value)
            if value:
                _long(len(value), out)
                for key, one in value.items():
                    write_key(key, out)
                    write_value(one, out)
            out.append(0)

        return write


def _wrong(schema: Schema, value: Value) -> DataError:
    return DataError(f"Invalid type for {schema.type}: {type(value).__name__}")


def _struct(schema: Schema, value: Value) -> Struct:
    if not isinstance(value, Struct):
        raise _wrong(schema, value)
    if value.schema != schema:
        raise DataError("Mismatching schema.")
    return value


def _checked(schema: Schema, write: Writer) -> Writer:
    expected, allowed = class_of(schema), RANGES.get(schema.type)

    def write_checked(value: Value, out: bytearray) -> None:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise _wrong(schema, value)
        if allowed is not None and value not in allowed:
            raise DataError(f"{value} is out of range for {schema.type}")
        write(value, out)

    return write_checked


def _enum(schema: Schema, symbols: Sequence[str]) -> Writer:
    by_symbol = {symbol: index for index, symbol in enumerate(symbols)}

    def write(value: Value, out: bytearray) -> None:
        if not isinstance(value, str):
            raise _wrong(schema, value)
        if value not in by_symbol:
            raise DataError(f"Avro's enum has no symbol {value!r}; there are {', '.join(symbols)}")
        _long(by_symbol[value], out)

    return write


def _padded(data: Value, size: int) -> bytes:
    """A decimal's bytes with its sign in front, as fixed takes them."""
    digits = cast("bytes", data)
    return digits.rjust(size, b"\xff" if digits[0] & 0x80 else b"\0")


def _primitive(of: Type, kind: str, size: int | None) -> Writer:
    def write_integer(value: Value, out: bytearray) -> None:
        number = cast("int", value)
        if kind == "int" and number not in RANGES[Type.INT32]:
            raise DataError(f"{number} is out of range for Avro's int")
        _long(number, out)

    def write_bytes(value: Value, out: bytearray) -> None:
        data = cast("str", value).encode() if of is Type.STRING else cast("bytes", value)
        if size is None:
            _long(len(data), out)
        elif len(data) != size:
            raise DataError(f"{len(data)} bytes, where Avro's fixed has {size}")
        out += data

    if of in RANGES:
        return write_integer
    if of is Type.BOOLEAN:
        return lambda value, out: out.append(1 if value else 0)
    if kind in ("float", "double"):
        pack = (_FLOAT if kind == "float" else _DOUBLE).pack
        return lambda value, out: out.extend(pack(value))
    return write_bytes
