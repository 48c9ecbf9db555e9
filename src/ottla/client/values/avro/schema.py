"""Avro schemas, parsed: names are resolved, logical types that make no sense are left out (Avro 1.12)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, cast

from ottla.client.values.interface import ValuesError

__all__ = [
    "MISSING",
    "ArrayType",
    "AvroType",
    "EnumType",
    "Field",
    "FixedType",
    "Logical",
    "MapType",
    "Primitive",
    "RecordType",
    "UnionType",
    "branch_name",
    "is_null",
    "members_of",
    "parse",
]

MAX_TEXT: Final = 4 << 20
_MAX_NESTING: Final = 64
_MAX_NAMES: Final = 10_000

PrimitiveName = Literal["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
_PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")

MISSING: Final = object()
"""The default of a field that has none."""


@dataclass(frozen=True, slots=True)
class Logical:
    """A logical type; `precision` and `scale` are those of decimals."""

    name: str
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Primitive:
    name: PrimitiveName
    logical: Logical | None = None


@dataclass(eq=False, slots=True)
class FixedType:
    name: str
    aliases: tuple[str, ...]
    size: int
    logical: Logical | None = None


@dataclass(eq=False, slots=True)
class EnumType:
    name: str
    aliases: tuple[str, ...]
    symbols: tuple[str, ...]
    default: str | None = None


@dataclass(eq=False, slots=True)
class ArrayType:
    items: AvroType


@dataclass(eq=False, slots=True)
class MapType:
    values: AvroType


@dataclass(eq=False, slots=True)
class UnionType:
    branches: tuple[AvroType, ...]


@dataclass(eq=False, slots=True)
class Field:
    name: str
    aliases: tuple[str, ...]
    type: AvroType
    default: object = MISSING


@dataclass(eq=False, slots=True)
class RecordType:
    name: str
    aliases: tuple[str, ...]
    fields: list[Field] = field(default_factory=list)


AvroType = Primitive | FixedType | EnumType | ArrayType | MapType | UnionType | RecordType
Named = FixedType | EnumType | RecordType


def parse(text: str, references: Mapping[str, str] = {}) -> AvroType:
    """The schema of `text`. Names that it does not define are those of `references`, texts by full name.
    ValuesError for what is none."""
    return _parsed(text, tuple(references.items()))


@lru_cache(maxsize=8)
def _parsed(text: str, references: tuple[tuple[str, str], ...]) -> AvroType:
    """Once: an encoder is made for each batch."""
    return _Parser(dict(references)).text(text)


class _Parser:
    def __init__(self, references: Mapping[str, str]) -> None:
        self._references = references
        self._names: dict[str, Named] = {}
        self._begun: set[str] = set()

    def text(self, text: str) -> AvroType:
        if len(text) > MAX_TEXT:
            raise ValuesError(f"an Avro schema of {len(text)} characters")
        try:
            return self._type(json.loads(text), "", 0)
        except RecursionError:
            raise ValuesError("the Avro schema is nested too deep") from None
        except ValueError as error:
            if isinstance(error, ValuesError):
                raise
            raise ValuesError(f"the Avro schema is no JSON: {error}") from None

    def _type(self, given: object, namespace: str, depth: int) -> AvroType:
        if depth > _MAX_NESTING:
            raise ValuesError(f"the Avro schema is nested deeper than {_MAX_NESTING}")
        match given:
            case str():
                return self._named(given, namespace)
            case list():
                return self._union(given, namespace, depth)
            case dict():
                return self._complex(cast("dict[str, object]", given), namespace, depth)
        raise ValuesError(f"{given!r} is no Avro schema")

    def _named(self, name: str, namespace: str) -> AvroType:
        if name in _PRIMITIVES:
            return Primitive(cast("PrimitiveName", name))
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for candidate in (full, name):
            if candidate in self._names:
                return self._names[candidate]
            if candidate in self._references and candidate not in self._begun:
                self._begun.add(candidate)
                found = self._type(json.loads(self._references[candidate]), "", 0)
                return self._names.get(candidate, found)
        raise ValuesError(f"the Avro schema names {full}, which is not defined")

    def _union(self, given: list[object], namespace: str, depth: int) -> UnionType:
        branches = tuple(self._type(each, namespace, depth + 1) for each in given)
        seen: set[str] = set()
        for branch in branches:
            if isinstance(branch, UnionType):
                raise ValuesError("an Avro union within a union")
            name = branch_name(branch)
            if name in seen:
                raise ValuesError(f"an Avro union with two branches {name}")
            seen.add(name)
        return UnionType(branches)

    def _complex(self, given: dict[str, object], namespace: str, depth: int) -> AvroType:
        kind = given.get("type")
        match kind:
            case "array":
                return ArrayType(self._type(_need(given, "items"), namespace, depth + 1))
            case "map":
                return MapType(self._type(_need(given, "values"), namespace, depth + 1))
            case "record" | "error":
                return self._record(given, namespace, depth)
            case "enum":
                return self._enum(given, namespace)
            case "fixed":
                return self._fixed(given, namespace)
            case str() if kind in _PRIMITIVES:
                return Primitive(cast("PrimitiveName", kind), _logical(given, kind, 0))
            case str() | list() | dict():
                return self._type(kind, namespace, depth + 1)
        raise ValuesError(f"{kind!r} is no Avro type")

    def _define(self, made: Named) -> None:
        if made.name in self._names:
            raise ValuesError(f"the Avro schema defines {made.name} twice")
        if len(self._names) >= _MAX_NAMES:
            raise ValuesError(f"the Avro schema has more than {_MAX_NAMES} names")
        self._names[made.name] = made

    def _record(self, given: dict[str, object], namespace: str, depth: int) -> RecordType:
        name, space = _full_name(given, namespace)
        made = RecordType(name, _aliases(given, space))
        self._define(made)
        fields = _need(given, "fields")
        if not isinstance(fields, list):
            raise ValuesError(f"the fields of {name} are no list")
        seen: set[str] = set()
        for each in fields:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str):
                raise ValuesError(f"a field of {name} has no name")
            if each["name"] in seen:
                raise ValuesError(f"{name} has two fields {each['name']}")
            seen.add(each["name"])
            kind = self._type(_need(each, "type"), space, depth + 1)
            aliases = each.get("aliases", [])
            names = tuple(alias for alias in aliases if isinstance(alias, str))
            made.fields.append(Field(each["name"], names, kind, each.get("default", MISSING)))
        return made

    def _enum(self, given: dict[str, object], namespace: str) -> EnumType:
        name, space = _full_name(given, namespace)
        symbols = _need(given, "symbols")
        if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
            raise ValuesError(f"the symbols of {name} are no names")
        if len(set(symbols)) != len(symbols):
            raise ValuesError(f"{name} has a symbol twice")
        default = given.get("default")
        if default is not None and default not in symbols:
            raise ValuesError(f"the default of {name} is none of its symbols")
        made = EnumType(name, _aliases(given, space), tuple(symbols), cast("str | None", default))
        self._define(made)
        return made

    def _fixed(self, given: dict[str, object], namespace: str) -> FixedType:
        name, space = _full_name(given, namespace)
        size = _need(given, "size")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 1 << 20:
            raise ValuesError(f"{name} has {size!r} bytes: 1 to {1 << 20} can be read")
        made = FixedType(name, _aliases(given, space), size, _logical(given, "fixed", size))
        self._define(made)
        return made


def is_null(schema: AvroType) -> bool:
    return isinstance(schema, Primitive) and schema.name == "null"


def members_of(union: UnionType) -> list[AvroType]:
    """The branches that are not null."""
    return [each for each in union.branches if not is_null(each)]


def branch_name(branch: AvroType) -> str:
    """What tells a branch from the others of its union."""
    match branch:
        case ArrayType():
            return "array"
        case MapType():
            return "map"
        case UnionType():
            return "union"
    return branch.name


def _need(given: Mapping[str, object], name: str) -> object:
    if name not in given:
        raise ValuesError(f"an Avro {given.get('type', 'field')} without {name}")
    return given[name]


def _full_name(given: Mapping[str, object], namespace: str) -> tuple[str, str]:
    """A full name, and the namespace of what is within."""
    name = _need(given, "name")
    if not isinstance(name, str) or not name:
        raise ValuesError(f"{name!r} is no name in Avro")
    if "." in name:
        return name, name.rpartition(".")[0]
    space = given.get("namespace", namespace)
    if not isinstance(space, str):
        raise ValuesError(f"{space!r} is no namespace in Avro")
    return (f"{space}.{name}" if space else name), space


def _aliases(given: Mapping[str, object], namespace: str) -> tuple[str, ...]:
    aliases = given.get("aliases", [])
    if not isinstance(aliases, list):
        return ()
    names = [each for each in aliases if isinstance(each, str)]
    return tuple(each if "." in each or not namespace else f"{namespace}.{each}" for each in names)


_LOGICAL_OF: Final = {
    "int": ("date", "time-millis"),
    "long": (
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
    ),
    "bytes": ("decimal",),
    "string": ("uuid",),
    "fixed": ("decimal", "duration", "uuid"),
}


def _logical(given: Mapping[str, object], kind: str, size: int) -> Logical | None:
    """None, too, for what the type below cannot be: Avro says to ignore it then."""
    name = given.get("logicalType")
    if not isinstance(name, str) or name not in _LOGICAL_OF.get(kind, ()):
        return None
    if size and size != {"duration": 12, "uuid": 16}.get(name, size):
        return None
    if name != "decimal":
        return Logical(name)
    precision, scale = given.get("precision"), given.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or not precision:
        return None
    if precision > 76 or (size and 10**precision > 1 << (8 * size - 1)):
        return None
    return Logical(name, precision, scale)
