"""JSON Schema's keywords taken apart into one kind of assertion each, as they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ottla.schemas.json_schema.documents import Documents
from ottla.schemas.json_schema.drafts import TYPES
from ottla.schemas.json_text import Json, JsonObject, is_array, write
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Kind", "Node", "Nodes", "has_default"]


class Kind(Enum):
    """What a node asserts. ANY is `true` and `{}`, NONE is `false`."""

    ANY = "any"
    NONE = "none"
    OBJECT = "object"
    ARRAY = "array"
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    ENUM = "enum"
    CONST = "const"
    NOT = "not"
    CONDITIONAL = "if"
    COMBINED = "combined"


_KINDS: Final = {name: Kind("number" if name == "integer" else name) for name in TYPES}
_KEYWORDS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.ARRAY: frozenset(
        {"items", "additionalItems", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}
        | {"unevaluatedItems"}
    ),
    Kind.NUMBER: frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    Kind.STRING: frozenset({"minLength", "maxLength", "pattern"}),
    Kind.OBJECT: frozenset(
        {"properties", "required", "minProperties", "maxProperties", "dependencies", "patternProperties"}
        | {"additionalProperties", "propertyNames", "dependentRequired", "dependentSchemas"}
        | {"unevaluatedProperties"}
    ),
}
"""What asserts something of one type only, and so makes a schema one of that type where `type` is missing."""
_COMBINATIONS: Final = ("allOf", "anyOf", "oneOf")


@dataclass(slots=True, eq=False)
class Node:
    """One assertion, with the keywords of the schema that it was in."""

    kind: Kind
    keywords: JsonObject
    modern: bool
    """2019-09 or newer."""
    nodes: Nodes
    integer: bool = False
    """Of a number."""
    criterion: str = ""
    """Of a combination: allOf, anyOf or oneOf."""
    schemas: Sequence[Node | Json] = ()
    """Of a combination, some still to be taken apart."""

    def of(self, schema: Json) -> Node:
        """The node of a schema among the keywords."""
        return self.nodes.of(schema)

    def parts(self) -> list[Node]:
        """Of a combination."""
        return [self.nodes.of(each) for each in self.schemas]

    def key(self) -> tuple[Kind, str, bool, str]:
        """What equal ones have in common."""
        return self.kind, self.criterion, self.integer, write(self.keywords, sort=True)


class Nodes:
    """The nodes of a schema, each made once, when it is asked for."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._nodes: dict[int, Node] = {}
        self._any = Node(Kind.ANY, {}, False, self)
        self._none = Node(Kind.NONE, {}, False, self)

    def of(self, schema: Json | Node) -> Node:
        """Raises `InvalidSchemaError` for a reference that leads nowhere."""
        if isinstance(schema, Node):
            return schema
        if not isinstance(schema, Mapping):
            return self._none if schema is False else self._any
        node = self._nodes.get(id(schema))
        if node is None:
            node = self._nodes[id(schema)] = self._make(schema)
        return node

    def _make(self, given: JsonObject) -> Node:
        schema = given
        seen: dict[int, None] = {}
        while True:
            modern = self._documents.place(schema).draft.modern
            target = self._documents.reference(schema)
            alone = target is not None and not modern
            parts: list[Node | Json] = [] if alone else self._parts(schema, modern)
            if target is None or parts:
                break
            if id(schema) in seen:
                raise InvalidSchemaError("A reference leads back to itself")
            seen[id(schema)] = None
            if not isinstance(target, Mapping):
                return self.of(target)
            schema = target
        if schema is not given:
            return self.of(schema)
        if target is not None:
            parts.insert(0, target)
        if not parts:
            return Node(Kind.ANY, schema, modern, self)
        first = parts[0]
        if len(parts) == 1 and isinstance(first, Node):
            return first
        return Node(Kind.COMBINED, schema, modern, self, criterion="allOf", schemas=parts)

    def _parts(self, schema: JsonObject, modern: bool) -> list[Node | Json]:
        parts: list[Node | Json] = []
        if isinstance(schema.get("enum"), Sequence):
            parts.append(Node(Kind.ENUM, schema, modern, self))
        for criterion in _COMBINATIONS:
            schemas = schema.get(criterion)
            if is_array(schemas):
                parts.append(Node(Kind.COMBINED, schema, modern, self, criterion=criterion, schemas=schemas))
        if "not" in schema:
            parts.append(Node(Kind.NOT, schema, modern, self))
        if "const" in schema:
            parts.append(Node(Kind.CONST, schema, modern, self))
        parts += self._typed(schema, modern)
        if any(keyword in schema for keyword in ("if", "then", "else")):
            parts.append(Node(Kind.CONDITIONAL, schema, modern, self))
        return parts

    def _typed(self, schema: JsonObject, modern: bool) -> list[Node]:
        given = schema.get("type")
        names = [given] if isinstance(given, str) else given if isinstance(given, Sequence) else []
        typed = [
            Node(_KINDS[name], schema, modern, self, integer=name == "integer")
            for name in names
            if isinstance(name, str) and name in _KINDS
        ]
        parts = typed
        if typed and not isinstance(given, str):
            parts = [Node(Kind.COMBINED, schema, modern, self, criterion="anyOf", schemas=typed)]
        if typed and not modern:
            return parts  # what else these drafts have there is of no effect
        known = [node.kind for node in typed]
        return parts + [
            Node(kind, schema, modern, self)
            for kind, keywords in _KEYWORDS.items()
            if kind not in known and not keywords.isdisjoint(schema)
        ]


def has_default(schema: Json) -> bool:
    return isinstance(schema, Mapping) and "default" in schema
