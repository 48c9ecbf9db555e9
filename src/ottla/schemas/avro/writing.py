"""An Avro schema's model as text: canonical as Avro's Java library prints it, and normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ottla.schemas.avro.model import (
    Array,
    Enum,
    Field,
    Fixed,
    MapOf,
    Named,
    Node,
    Record,
    Types,
    Union,
    Use,
    kind_of,
)
from ottla.schemas.json_text import Json, JsonObject, is_array, write
from ottla.schemas.limits import Budget

__all__ = ["canonical", "definition", "normalised"]

_LOGICAL_FIRST: Final = ("logicalType", "precision", "scale")


def canonical(node: Node, types: Types) -> str:
    """The text that the registry stores: the author's order of fields, properties and aliases."""
    return write(_Writer(types, normal=False).value(node, ""))


def normalised(node: Node, types: Types) -> str:
    """The same with properties and aliases sorted, and what says nothing left out."""
    return write(_Writer(types, normal=True).value(node, ""))


def definition(named: Named) -> str:
    """What a named type is, for comparing two of one name. The types inside it are compared by themselves."""
    return write(_Writer(Types(), normal=False, shallow=True).value(named, ""))


class _Writer:
    """Each named type is written out where it first appears, unless a referenced schema has it."""

    def __init__(self, types: Types, *, normal: bool, shallow: bool = False) -> None:
        self._types = types
        self._normal = normal
        self._shallow = shallow
        self._known = dict.fromkeys(types.given)
        self._budget = Budget("The schema, each type written where it is first used,")

    def value(self, node: Node, namespace: str, depth: int = 0) -> Json:
        self._budget.spend(depth=depth)
        if isinstance(node, Union):
            return [self.value(branch, namespace, depth + 1) for branch in node.branches]
        if isinstance(node, Use | Named):
            return self._named(node, namespace, depth)
        value: dict[str, Json] = {"type": kind_of(node)}
        if isinstance(node, Array):
            value["items"] = self.value(node.items, namespace, depth + 1)
        elif isinstance(node, MapOf):
            value["values"] = self.value(node.values, namespace, depth + 1)
        elif not node.properties:
            return node.kind
        return value | dict(self._properties(node.properties))

    def _named(self, node: Use | Named, namespace: str, depth: int) -> Json:
        name = node.name
        if name.full in self._known or (self._shallow and self._known):
            return name.within(namespace)
        self._known[name.full] = None
        named = self._types.by_name[name.full] if isinstance(node, Use) else node
        value: dict[str, Json] = {"type": kind_of(named), "name": name.simple}
        if name.namespace != namespace:
            value["namespace"] = name.namespace
        if named.doc is not None and not (self._normal and not named.doc):
            value["doc"] = named.doc
        match named:
            case Fixed(size=size):
                value["size"] = size
            case Enum(symbols=symbols, default=default):
                value["symbols"] = symbols
                if default is not None:
                    value["default"] = default
            case Record(fields=fields, error=error):
                if error:
                    value["type"] = "error"
                value["fields"] = [self._field(field, name.namespace, depth + 1) for field in fields]
        value |= self._properties(named.properties)
        aliases = [alias.within(name.namespace) for alias in dict.fromkeys(named.aliases)]
        if aliases:
            value["aliases"] = self._sorted(aliases)
        return value

    def _field(self, field: Field, namespace: str, depth: int) -> JsonObject:
        value: dict[str, Json] = {"name": field.name, "type": self.value(field.type, namespace, depth)}
        if field.doc is not None:
            value["doc"] = field.doc
        if field.default:
            value["default"] = self._default(field)
        if field.order != "ascending":
            value["order"] = field.order
        if field.aliases:
            value["aliases"] = self._sorted(field.aliases)
        return value | dict(self._properties(field.properties))

    def _default(self, field: Field) -> Json:
        value = field.default[0]
        if not self._normal:
            return value
        if kind_of(field.type) in ("float", "double") and isinstance(value, int):
            return float(value)
        return _ordered(value)

    def _sorted(self, names: Sequence[str]) -> Sequence[str]:
        return sorted(names) if self._normal else names

    def _properties(self, properties: JsonObject) -> JsonObject:
        if not self._normal:
            return properties
        first = _LOGICAL_FIRST if properties.get("logicalType") == "decimal" else _LOGICAL_FIRST[:1]
        keys = [key for key in first if key in properties]
        keys += sorted(key for key in properties if key not in keys)
        return {key: _ordered(properties[key]) for key in keys}


def _ordered(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if is_array(value):
        return [_ordered(each) for each in value]
    return value
