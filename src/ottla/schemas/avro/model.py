"""Avro's types as a schema's text has them. A named type is used by name, so objects make no circles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ottla.schemas.json_text import Json, JsonObject

__all__ = [
    "PRIMITIVES",
    "Array",
    "Enum",
    "Field",
    "Fixed",
    "MapOf",
    "Name",
    "Named",
    "Node",
    "Primitive",
    "Record",
    "Types",
    "Union",
    "Use",
    "kind_of",
]

PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class Name(NamedTuple):
    """A name and its namespace, "" if it has none."""

    simple: str
    namespace: str

    @property
    def full(self) -> str:
        return f"{self.namespace}.{self.simple}" if self.namespace else self.simple

    def within(self, namespace: str) -> str:
        """How it is written where `namespace` is the default; in full if it reads as one of Avro's types."""
        if self.namespace == namespace and self.simple not in _TYPE_NAMES:
            return self.simple
        return self.full


_TYPE_NAMES: Final = frozenset(PRIMITIVES) | {"record", "enum", "array", "map", "union", "fixed"}


@dataclass(slots=True, eq=False)
class Primitive:
    kind: str
    properties: JsonObject


@dataclass(slots=True, eq=False)
class Array:
    items: Node
    properties: JsonObject


@dataclass(slots=True, eq=False)
class MapOf:
    values: Node
    properties: JsonObject


@dataclass(slots=True, eq=False)
class Union:
    branches: Sequence[Node]


@dataclass(slots=True, eq=False)
class Use:
    """A named type, by its name; what it is, `Types` knows."""

    name: Name


@dataclass(slots=True, eq=False)
class Fixed:
    name: Name
    aliases: Sequence[Name]
    doc: str | None
    size: int
    properties: JsonObject


@dataclass(slots=True, eq=False)
class Enum:
    name: Name
    aliases: Sequence[Name]
    doc: str | None
    symbols: Sequence[str]
    default: str | None
    properties: JsonObject


@dataclass(slots=True, eq=False)
class Field:
    name: str
    type: Node
    doc: str | None
    default: tuple[Json, ...]
    """Nothing or one value, since that value may be null."""
    order: str
    aliases: Sequence[str]
    properties: JsonObject


@dataclass(slots=True, eq=False)
class Record:
    name: Name
    aliases: Sequence[Name]
    doc: str | None
    fields: Sequence[Field]
    properties: JsonObject
    error: bool = False


Named: TypeAlias = Fixed | Enum | Record
Node: TypeAlias = Primitive | Array | MapOf | Union | Use | Named


@dataclass(slots=True)
class Types:
    """The named types of a schema and of those that it refers to, by full name."""

    by_name: dict[str, Named] = field(default_factory=dict)
    given: Mapping[str, Name] = field(default_factory=dict)
    """What referenced schemas define, by full name: such a type is not written out again."""

    def resolve(self, node: Node) -> Primitive | Array | MapOf | Union | Named:
        return self.by_name[node.name.full] if isinstance(node, Use) else node


def kind_of(node: Node) -> str:
    """The name of its type; of a `Use`, "name"."""
    return node.kind if isinstance(node, Primitive) else _KINDS[type(node)]


_KINDS: Final[Mapping[type, str]] = {
    Array: "array",
    MapOf: "map",
    Union: "union",
    Use: "name",
    Fixed: "fixed",
    Enum: "enum",
    Record: "record",
}
