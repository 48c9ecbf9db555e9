"""Which Arrow type the values of a JSON Schema have. Needs the extra `arrow`.

Objects are structs of their properties or, where any name may come, maps; what may be of several types, or
leads back into itself, is JSON's text (`pyarrow.json_()`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import pyarrow as pa

from ottla.client.values.interface import ValuesError
from ottla.schemas.json_schema.documents import Documents
from ottla.schemas.json_schema.model import Kind, Node, Nodes
from ottla.schemas.json_text import Json, read
from ottla.schemas.limits import Budget, check_size
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Shape", "shape_of", "title_of"]

_MAX_NESTING: Final = 64
_MAX_COLUMNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """`type` None is anything. `is_nullable`: null is among the values. `fields` are a struct's, `item` is
    that of a list or a map. `has_required`: there is a field, however deep, that is left out rather than
    null."""

    type: pa.DataType | None
    is_nullable: bool = False
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    has_required: bool = field(init=False)

    def __post_init__(self) -> None:
        """Once: each value is asked."""
        fields = any(not each.is_nullable or each.has_required for each in self.fields.values())
        object.__setattr__(self, "has_required", fields or (self.item is not None and self.item.has_required))

    @property
    def arrow(self) -> pa.DataType:
        return pa.json_() if self.type is None else self.type


def shape_of(text: str, references: Mapping[str, str] = {}) -> Shape:
    """ValuesError for what is no schema."""
    return _shape(text, tuple(references.items()))


@lru_cache(maxsize=8)
def _shape(text: str, references: tuple[tuple[str, str], ...]) -> Shape:
    """Once: an encoder is made for each batch."""
    try:
        check_size(text, dict(references))
        root = read(text, exact=True)
        if not isinstance(root, bool | Mapping):
            raise InvalidSchemaError("it is an object, true or false")
        documents = {name: read(each, exact=True) for name, each in references}
        budget = Budget("the schema")
        return _Shapes().of(Nodes(Documents(root, documents, budget)).of(root), ())
    except InvalidSchemaError as error:
        raise ValuesError(f"the JSON Schema is none: {error}") from None
    except RecursionError:
        raise ValuesError("the JSON Schema is nested too deep") from None


@lru_cache(maxsize=8)
def title_of(text: str) -> str | None:
    try:
        root = read(text, exact=True)
    except InvalidSchemaError as error:
        raise ValuesError(f"the JSON Schema is none: {error}") from None
    title = root.get("title") if isinstance(root, Mapping) else None
    return title if isinstance(title, str) else None


_ANY: Final = Shape(None, is_nullable=True)
_NULL: Final = Shape(pa.null(), is_nullable=True)


class _Shapes:
    def __init__(self) -> None:
        self._columns = 0

    def of(self, node: Node, around: tuple[Node, ...]) -> Shape:
        self._columns += 1
        if self._columns > _MAX_COLUMNS:
            raise ValuesError(f"the JSON Schema has more than {_MAX_COLUMNS} columns")
        if node in around or len(around) > _MAX_NESTING:
            return _ANY
        around = (*around, node)
        match node.kind:
            case Kind.OBJECT:
                return self._object(node, around)
            case Kind.ARRAY:
                return self._array(node, around)
            case Kind.STRING:
                return Shape(pa.string())
            case Kind.NUMBER:
                return Shape(pa.int64() if node.integer else pa.float64())
            case Kind.BOOLEAN:
                return Shape(pa.bool_())
            case Kind.NULL:
                return _NULL
            case Kind.ENUM:
                held = node.keywords["enum"]
                return _alternatives([_of_value(each) for each in held] if isinstance(held, Sequence) else [])
            case Kind.CONST:
                return _of_value(node.keywords["const"])
            case Kind.COMBINED:
                parts = [self.of(each, around) for each in node.parts()]
                return _together(parts) if node.criterion == "allOf" else _alternatives(parts)
        return _ANY

    def _object(self, node: Node, around: tuple[Node, ...]) -> Shape:
        properties, others = node.keywords.get("properties"), node.keywords.get("additionalProperties")
        if isinstance(properties, Mapping) and properties:
            return _struct({name: self.of(node.of(each), around) for name, each in properties.items()})
        if others is False:
            return _struct({})
        if not isinstance(others, Mapping) or node.keywords.get("patternProperties"):
            return Shape(None)
        item = self.of(node.of(others), around)
        return Shape(pa.map_(pa.string(), item.arrow), item=item)

    def _array(self, node: Node, around: tuple[Node, ...]) -> Shape:
        items = node.keywords.get("items")
        item = _ANY
        if isinstance(items, Mapping) and "prefixItems" not in node.keywords:
            item = self.of(node.of(items), around)
        return Shape(pa.list_(item.arrow), item=item)


def _struct(fields: Mapping[str, Shape]) -> Shape:
    kind = pa.struct([pa.field(name, each.arrow) for name, each in fields.items()])
    return Shape(kind, fields=fields)


def _of_value(value: Json) -> Shape:
    """Of a constant."""
    match value:
        case None:
            return _NULL
        case bool():
            return Shape(pa.bool_())
        case str():
            return Shape(pa.string())
        case int() if -(1 << 63) <= value < 1 << 63:
            return Shape(pa.int64())
    return Shape(None) if isinstance(value, Mapping | Sequence) else Shape(pa.float64())


def _alternatives(parts: Sequence[Shape]) -> Shape:
    """One of them holds."""
    is_nullable = any(each.is_nullable for each in parts)
    present = [each for each in parts if each is not _NULL]
    if not present:
        return _NULL if parts else _ANY
    kinds = {each.arrow: each for each in present}
    if len(kinds) == 1:
        first = present[0]
        return Shape(first.type, is_nullable, first.fields, first.item)
    if kinds.keys() == {pa.int64(), pa.float64()}:
        return Shape(pa.float64(), is_nullable)
    return Shape(None, is_nullable)


def _together(parts: Sequence[Shape]) -> Shape:
    """All of them hold: what one says nothing about, another may."""
    said = [each for each in parts if each.type is not None]
    is_nullable = all(each.is_nullable for each in parts)
    if said and all(pa.types.is_struct(each.type) for each in said):
        fields: dict[str, Shape] = {}
        for each in said:
            for name, shape in each.fields.items():
                fields[name] = _together([fields[name], shape]) if name in fields else shape
        merged = _struct(fields)
        return Shape(merged.type, is_nullable, fields)
    kinds = {each.arrow: each for each in said}
    if len(kinds) == 1:
        return Shape(said[0].type, is_nullable, said[0].fields, said[0].item)
    return Shape(pa.int64() if kinds.keys() == {pa.int64(), pa.float64()} else None, is_nullable)
