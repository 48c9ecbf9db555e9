"""Avro's schemas as Connect's, with functions that read their values: compiled once for each schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from struct import error as PackedError  # noqa: N812
from typing import Final, NamedTuple, cast

from ottla.connect.converters.avro_bytes import (
    READERS,
    Cursor,
    Reader,
    array_reader,
    branch_reader,
    entries_reader,
    enum_reader,
    fixed_reader,
    integer_reader,
    map_reader,
    read_bytes,
    read_nothing,
    struct_reader,
    union_reader,
)
from ottla.connect.converters.avro_schemas import (
    DEFAULT_NAME,
    DEFAULT_PRECISION,
    ENUM,
    FIXED_SIZE,
    MAP_ENTRY,
    NAMESPACE,
    PRECISION,
    UNION,
    Avro,
)
from ottla.connect.data.logical import DATE, LOGICAL_TYPES, SCALE, TIME, TIMESTAMP, decimal_schema
from ottla.connect.data.schema import RANGES, Schema, Struct, Type, Value
from ottla.connect.errors import DataError

__all__ = [
    "AvroReading",
    "Cursor",
    "avro_reading",
    "branch_name",
    "collect_names",
    "full_name",
    "reading_of",
    "type_of",
]

_MAX_DEPTH: Final = 100
_PRIMITIVES: Final = {
    "boolean": Type.BOOLEAN, "int": Type.INT32, "long": Type.INT64, "float": Type.FLOAT32,
    "double": Type.FLOAT64, "bytes": Type.BYTES, "string": Type.STRING,
}  # fmt: skip
_LOGICAL: Final = {
    ("int", "date"): DATE,
    ("int", "time-millis"): TIME,
    ("long", "timestamp-millis"): TIMESTAMP,
}
_NAMED: Final = ("record", "error", "enum", "fixed")


class AvroReading(NamedTuple):
    """Connect's schema of an Avro schema, and what reads its values."""

    schema: Schema
    read: Reader

    def value(self, payload: memoryview) -> Value:
        """The value of these bytes, all of them. Raises DataError."""
        cursor = Cursor(payload)
        try:
            value = self.read(cursor)
        except (IndexError, PackedError):
            raise DataError("an Avro value that ends early") from None
        except UnicodeDecodeError:
            raise DataError("a text in an Avro value that is no UTF-8") from None
        if cursor.position != cursor.end:
            raise DataError(f"{cursor.end - cursor.position} bytes behind an Avro value")
        return value


def avro_reading(text: str, resolved: Mapping[str, str]) -> AvroReading:
    """`resolved` has the texts of what it refers to. Raises DataError for what Connect has no schema for."""
    avro = json.loads(text)
    return reading_of(avro, collect_names(avro, resolved), "", None)


def reading_of(
    avro: Avro, names: Mapping[str, dict[str, Avro]], namespace: str, default: Avro
) -> AvroReading:
    """Of a part of a schema, with the default that its field has. Raises DataError."""
    return _Reading(names).of(avro, namespace, optional=False, default=default)


def collect_names(avro: Avro, resolved: Mapping[str, str]) -> dict[str, dict[str, Avro]]:
    """All named types of a schema and of those that it refers to. Raises DataError."""
    names: dict[str, dict[str, Avro]] = {}
    for other in resolved.values():
        _collect(json.loads(other), "", names)
    _collect(avro, "", names)
    return names


def type_of(avro: Avro) -> str:
    """A primitive's name, `record` and so on, `union`, or the name of what is defined elsewhere."""
    if isinstance(avro, str):
        return avro
    if isinstance(avro, list):
        return "union"
    inner = cast("Mapping[str, Avro]", avro)["type"]
    return inner if isinstance(inner, str) else type_of(inner)


def full_name(avro: Mapping[str, Avro], namespace: str) -> str:
    name = str(avro["name"])
    own = str(avro.get("namespace", namespace))
    return name if "." in name or not own else f"{own}.{name}"


def branch_name(avro: Avro) -> str:
    """What the field for a branch of a union is called."""
    named = isinstance(avro, Mapping) and avro.get("type") in _NAMED
    return (
        str(cast("Mapping[str, Avro]", avro)["name"]).rpartition(".")[2]
        if named
        else type_of(avro).rpartition(".")[2]
    )


def _collect(avro: Avro, namespace: str, names: dict[str, dict[str, Avro]], depth: int = 0) -> None:
    """All named types, each with its namespace said."""
    if depth > _MAX_DEPTH:
        raise DataError(f"an Avro schema of more than {_MAX_DEPTH} types within one another")
    if isinstance(avro, list):
        for one in avro:
            _collect(one, namespace, names, depth + 1)
    if not isinstance(avro, dict):
        return
    if avro.get("type") in _NAMED:
        name = full_name(avro, namespace)
        namespace = name.rpartition(".")[0]
        names[name] = avro | {"name": name, "namespace": namespace}
    for part in ("type", "items", "values"):
        _collect(avro.get(part), namespace, names, depth + 1)
    for field in avro.get("fields", []):
        _collect(field.get("type"), namespace, names, depth + 1)


class _Reading:
    def __init__(self, names: Mapping[str, dict[str, Avro]]) -> None:
        self._names: Final = names
        self._open: Final[list[str]] = []

    def of(self, avro: Avro, namespace: str, *, optional: bool, default: Value = None) -> AvroReading:
        """`default` is a field's, in Avro's JSON."""
        if isinstance(avro, list):
            return self._union(avro, namespace, default)
        if isinstance(avro, str):
            if avro in _PRIMITIVES or avro == "null":
                avro = {"type": avro}
            else:
                avro = self._named(avro, namespace)
        described = cast("dict[str, Avro]", avro)
        if not isinstance(described["type"], str):
            return self.of(described["type"], namespace, optional=optional, default=default)
        if described["type"] not in (*_PRIMITIVES, *_NAMED, "array", "map"):
            return self.of(described["type"], namespace, optional=optional, default=default)
        schema, read = self._described(described, namespace)
        said = schema.replace(
            optional=optional,
            name=_text(described.get("connect.name")),
            version=said if isinstance(said := described.get("connect.version"), int) else None,
            doc=_text(
                described.get("connect.doc", described.get("doc") if schema.type is Type.STRUCT else None)
            ),
            parameters=_parameters(schema, described.get("connect.parameters")),
        )
        if default is None:
            default = described.get("connect.default")
        if default is not None:
            said = said.replace(default=_default(said, default))
        if said.type is Type.STRUCT:
            read = struct_reader(said, [one for _, one in cast("_Fields", read).fields])
        return AvroReading(said, read)

    def _named(self, name: str, namespace: str) -> dict[str, Avro]:
        found = self._names.get(
            f"{namespace}.{name}" if namespace and "." not in name else name
        ) or self._names.get(name)
        if found is None:
            raise DataError(f"there is no Avro type called {name}")
        return found

    def _union(self, branches: Sequence[Avro], namespace: str, default: Value) -> AvroReading:
        present = [one for one in branches if type_of(one) != "null"]
        if len(present) == 1:
            inner = self.of(present[0], namespace, optional=len(branches) > 1, default=default)
            readers = [read_nothing if type_of(one) == "null" else inner.read for one in branches]
            return AvroReading(inner.schema, union_reader(readers))
        fields = [(branch_name(one), self.of(one, namespace, optional=True)) for one in present]
        schema = Schema(
            Type.STRUCT,
            name=UNION,
            optional=len(present) < len(branches),
            fields=[(name, inner.schema) for name, inner in fields],
        )
        by_branch, index = list[Reader](), 0
        for one in branches:
            if type_of(one) == "null":
                by_branch.append(read_nothing)
            else:
                by_branch.append(branch_reader(schema, index, fields[index][1].read))
                index += 1
        return AvroReading(schema, union_reader(by_branch))

    def _described(self, avro: dict[str, Avro], namespace: str) -> tuple[Schema, Reader]:
        kind = avro["type"]
        if kind in ("record", "error"):
            return self._record(avro, namespace)
        if kind == "enum":
            symbols = [str(one) for one in cast("Iterable[Avro]", avro["symbols"])]
            parameters = {ENUM: full_name(avro, namespace), **{f"{ENUM}.{one}": one for one in symbols}}
            return Schema(Type.STRING, parameters=parameters), enum_reader(symbols)
        if kind == "array":
            return self._array(avro["items"], namespace)
        if kind == "map":
            values = self.of(avro["values"], namespace, optional=False)
            schema = Schema(Type.MAP, key_schema=Schema(Type.STRING), value_schema=values.schema)
            return schema, map_reader(values.read)
        size = cast("int", avro["size"]) if kind == "fixed" else None
        if avro.get("logicalType") == "decimal" and kind in ("bytes", "fixed"):
            return _decimal(avro, size)
        if size is not None:
            name = full_name(avro, namespace)
            return Schema(Type.BYTES, name=name, parameters={FIXED_SIZE: str(size)}), fixed_reader(size)
        return _primitive(avro)

    def _record(self, avro: dict[str, Avro], namespace: str) -> tuple[Schema, Reader]:
        name = full_name(avro, namespace)
        if name in self._open:
            raise DataError(f"the Avro record {name} is within itself, which Connect has no schema for")
        self._open.append(name)
        inner = name.rpartition(".")[0]
        fields: list[tuple[str, AvroReading]] = []
        for field in cast("Iterable[dict[str, Avro]]", avro["fields"]):
            default = field.get("default")
            fields.append(
                (str(field["name"]), self.of(field["type"], inner, optional=False, default=default))
            )
        self._open.pop()
        unnamed = inner == NAMESPACE and name.startswith(f"{NAMESPACE}.{DEFAULT_NAME}")
        schema = Schema(
            Type.STRUCT,
            name=None if unnamed else name,
            fields=[(field, one.schema) for field, one in fields],
        )
        return schema, _Fields([(field, one.read) for field, one in fields])

    def _array(self, items: Avro, namespace: str) -> tuple[Schema, Reader]:
        element = self.of(items, namespace, optional=False)
        entry = (
            self._named(items, namespace) if isinstance(items, str) and items not in _PRIMITIVES else items
        )
        if _is_map_entry(entry, element.schema):
            key, value = (field.schema for field in element.schema.fields)
            return Schema(Type.MAP, key_schema=key, value_schema=value), entries_reader(element.read)
        return Schema(Type.ARRAY, value_schema=element.schema), array_reader(element.read)


class _Fields:
    """Stands for a record's reader until its schema is final."""

    def __init__(self, fields: list[tuple[str, Reader]]) -> None:
        self.fields: Final = fields

    def __call__(self, cursor: Cursor) -> Value:
        raise NotImplementedError


def _is_map_entry(items: Avro, schema: Schema) -> bool:
    marked = isinstance(items, dict) and items.get("connect.internal.type") == MAP_ENTRY
    names = [field.name for field in schema.struct_fields]
    return names == ["key", "value"] and (marked or schema.name == f"{NAMESPACE}.{MAP_ENTRY}")


def _text(said: Avro) -> str | None:
    return said if isinstance(said, str) else None


def _parameters(schema: Schema, said: Avro) -> Mapping[str, str] | None:
    if not isinstance(said, dict):
        return schema.parameters
    return {**(schema.parameters or {}), **{str(name): str(value) for name, value in said.items()}}


def _default(schema: Schema, default: Avro) -> Value:
    """A default in Avro's JSON as a value. Raises DataError."""
    if default is None:
        return None
    if schema.type is Type.STRUCT and isinstance(default, dict):
        if schema.name == UNION:
            return None
        struct = Struct(schema)
        for field in schema.fields:
            if field.name in default:
                struct[field.name] = _default(field.schema, default[field.name])
        return struct
    if schema.type is Type.ARRAY and isinstance(default, list) and schema.value_schema is not None:
        return [_default(schema.value_schema, one) for one in default]
    if schema.type is Type.MAP and isinstance(default, dict) and schema.value_schema is not None:
        return {name: _default(schema.value_schema, one) for name, one in default.items()}
    if schema.type is Type.BYTES and isinstance(default, str):
        default = default.encode("latin-1", "replace")
    elif schema.type in (Type.FLOAT32, Type.FLOAT64) and isinstance(default, int):
        default = float(default)
    logical = LOGICAL_TYPES.get(schema.name or "")
    return default if logical is None else logical.from_base(schema, default)


def _primitive(avro: dict[str, Avro]) -> tuple[Schema, Reader]:
    kind = str(avro["type"])
    logical = _LOGICAL.get((kind, str(avro.get("logicalType"))))
    if logical is not None:
        from_base = LOGICAL_TYPES[logical.name or ""].from_base
        return logical, lambda cursor: from_base(logical, cursor.long())
    of = _PRIMITIVES.get(kind)
    if of is None:
        raise DataError("Connect has no schema for Avro's null alone")
    small = avro.get("connect.type")
    if kind == "int" and small in ("int8", "int16"):
        of = Type[str(small).upper()]
    return Schema(of), integer_reader(of) if of in RANGES else READERS[of]


def _decimal(avro: dict[str, Avro], size: int | None) -> tuple[Schema, Reader]:
    scale, precision = avro.get("scale", 0), avro.get("precision", DEFAULT_PRECISION)
    schema = decimal_schema(scale if isinstance(scale, int) else 0)
    parameters = {SCALE: str(scale)}
    if precision != DEFAULT_PRECISION:
        parameters[PRECISION] = str(precision)
    if size is not None:
        parameters[FIXED_SIZE] = str(size)
    schema = schema.replace(parameters=parameters)
    from_base, read = (
        LOGICAL_TYPES[schema.name or ""].from_base,
        read_bytes if size is None else fixed_reader(size),
    )
    return schema, lambda cursor: from_base(schema, read(cursor))
