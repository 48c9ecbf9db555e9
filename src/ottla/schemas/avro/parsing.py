"""An Avro schema's JSON to its model: what Avro's Java library takes, is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ottla.schemas.avro.defaults import Defaults
from ottla.schemas.avro.model import (
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    MapOf,
    Name,
    Named,
    Node,
    Primitive,
    Record,
    Types,
    Union,
    Use,
    kind_of,
)
from ottla.schemas.avro.writing import definition
from ottla.schemas.json_text import Json, JsonObject, is_array, shown
from ottla.schemas.limits import Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Parser"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset(
    {"doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"}
)
_RESERVED_OF_ENUM: Final = _RESERVED | {"default"}
_RESERVED_OF_FIELD: Final = frozenset({"default", "doc", "name", "order", "type", "aliases"})
_ORDERS: Final = ("ascending", "descending", "ignore")


class Parser:
    """Parses one schema, and before it those that it refers to, into the same `types`.

    `new`: the schema is being registered. Stored ones may be older than some checks.
    """

    def __init__(self, *, new: bool) -> None:
        self.types = Types()
        self._new = new
        self._budget = Budget("The schema")
        self._uses: list[tuple[Use, str]] = []
        self._fields: list[Field] = []

    def parse_references(self, values: Mapping[str, Json]) -> Mapping[str, Name]:
        """Takes the types of the schemas referred to, in any order. Returns the names of those schemas."""
        nodes = [self._type(value, "", 0) for value in values.values()]
        self._fields.clear()  # were checked when these schemas were new
        return {node.name.full: node.name for node in nodes if isinstance(node, Named)}

    def parse(self, value: Json) -> Node:
        """Raises `InvalidSchemaError`. What it uses must be defined by then, in any order."""
        node = self._type(value, "", 0)
        self._resolve_uses()
        self._check_unions_and_defaults(node)
        return node

    def _type(self, value: Json, namespace: str, depth: int) -> Node:
        self._budget.spend(depth=depth)
        if isinstance(value, str):
            return self._use(value, namespace)
        if isinstance(value, Mapping):
            return self._declared(value, namespace, depth)
        if isinstance(value, Sequence):
            return Union([self._type(each, namespace, depth + 1) for each in value])
        raise InvalidSchemaError(f"No schema: {shown(value)}")

    def _declared(self, value: JsonObject, namespace: str, depth: int) -> Node:
        kind = value.get("type")
        if not isinstance(kind, str):
            raise InvalidSchemaError(f"No type: {shown(value)}")
        if kind in PRIMITIVES:
            return Primitive(kind, _properties(value, _RESERVED))
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            if key not in value:
                raise InvalidSchemaError(f"{kind.capitalize()} without {key}: {shown(value)}")
            element = self._type(value[key], namespace, depth + 1)
            return (Array if kind == "array" else MapOf)(element, _properties(value, _RESERVED))
        if kind in ("record", "error", "enum", "fixed"):
            return self._named(kind, value, namespace, depth)
        return self._use(kind, namespace)

    def _use(self, text: str, namespace: str) -> Node:
        if text in PRIMITIVES:
            return Primitive(text, {})
        if not text:
            raise InvalidSchemaError("A type has no name")
        use = Use(_name(text, namespace))
        self._uses.append((use, text))
        return use

    def _named(self, kind: str, value: JsonObject, namespace: str, depth: int) -> Named:
        name = self._new_name(value, namespace)
        aliases = [self._alias(alias, name.namespace) for alias in _aliases(value)]
        doc = _text(value, "doc")
        named: Named
        if kind == "fixed":
            named = Fixed(name, aliases, doc, _size(value), _properties(value, _RESERVED))
        elif kind == "enum":
            symbols, default = self._symbols(value)
            named = Enum(name, aliases, doc, symbols, default, _properties(value, _RESERVED_OF_ENUM))
        else:
            fields = self._record_fields(value, name, depth)
            named = Record(name, aliases, doc, fields, _properties(value, _RESERVED), kind == "error")
        return self._define(named)

    def _define(self, named: Named) -> Named:
        """A type may be defined twice in the same way, as when a schema brings along what it refers to."""
        full = named.name.full
        other = self.types.by_name.get(full)
        if other is None:
            self.types.by_name[full] = named
        elif definition(other) != definition(named):
            raise InvalidSchemaError(f"{full} is defined twice, not in the same way")
        return named

    def _new_name(self, value: JsonObject, namespace: str) -> Name:
        text = _text(value, "name")
        if text is None:
            raise InvalidSchemaError(f"No name: {shown(value)}")
        given = _text(value, "namespace")
        name = _name(text, namespace if given is None else given)
        self._check_name(name)
        if name.full in PRIMITIVES:
            raise InvalidSchemaError(f"A type cannot be named {name.full}, as a primitive type is")
        return name

    def _alias(self, text: str, namespace: str) -> Name:
        name = _name(text, namespace)
        self._check_name(name)
        return name

    def _check_name(self, name: Name) -> None:
        _check_spelling(name.simple)
        if self._new and name.namespace:
            for part in name.namespace.split("."):
                _check_spelling(part)

    def _symbols(self, value: JsonObject) -> tuple[Sequence[str], str | None]:
        symbols = value.get("symbols")
        if not is_array(symbols):
            raise InvalidSchemaError(f"Enum without symbols: {shown(value)}")
        seen: dict[str, None] = {}
        for symbol in symbols:
            if not isinstance(symbol, str):
                raise InvalidSchemaError(f"No symbol of an enum: {shown(symbol)}")
            _check_spelling(symbol)
            if symbol in seen:
                raise InvalidSchemaError(f"The enum has {symbol} twice")
            seen[symbol] = None
        default = _text(value, "default")
        if default is not None and default not in seen:
            raise InvalidSchemaError(f"The enum's default {default} is none of its symbols")
        return list(seen), default

    def _record_fields(self, value: JsonObject, name: Name, depth: int) -> Sequence[Field]:
        given = value.get("fields")
        if not is_array(given):
            raise InvalidSchemaError(f"Record without fields: {shown(value)}")
        fields: dict[str, Field] = {}
        for each in given:
            if not isinstance(each, Mapping):
                raise InvalidSchemaError(f"No field of {name.full}: {shown(each)}")
            field = self._field(each, name, depth)
            if field.name in fields:
                raise InvalidSchemaError(f"{name.full} has the field {field.name} twice")
            fields[field.name] = field
            self._fields.append(field)
        return list(fields.values())

    def _field(self, value: JsonObject, record: Name, depth: int) -> Field:
        name = _text(value, "name")
        if name is None or "type" not in value:
            raise InvalidSchemaError(f"Field without {'name' if name is None else 'type'}: {shown(value)}")
        _check_spelling(name)
        type_ = self._type(value["type"], record.namespace, depth + 1)
        order = value.get("order", "ascending")
        if not isinstance(order, str) or order.lower() not in _ORDERS:
            raise InvalidSchemaError(f"No order of the field {name}: {shown(order)}")
        default: tuple[Json, ...] = (value["default"],) if "default" in value else ()
        if default and isinstance(default[0], str) and kind_of(type_) in ("float", "double"):
            default = (_number(default[0]),)
        aliases = list(dict.fromkeys(_aliases(value)))
        properties = _properties(value, _RESERVED_OF_FIELD)
        return Field(name, type_, _text(value, "doc"), default, order.lower(), aliases, properties)

    def _resolve_uses(self) -> None:
        for use, text in self._uses:
            if use.name.full in self.types.by_name:
                continue
            if "." in text or text not in self.types.by_name:
                raise InvalidSchemaError(f"Undefined type: {text}")
            use.name = Name(text, "")
        self._uses.clear()

    def _check_unions_and_defaults(self, node: Node) -> None:
        for union in _unions(node):
            _check_union(union)
        if self._new:
            defaults = Defaults(self.types, self._budget)
            for field in self._fields:
                if field.default:
                    defaults.check(field)
        self._fields.clear()


def _unions(node: Node) -> Sequence[Union]:
    found: list[Union] = []
    ahead = [node]
    while ahead:
        each = ahead.pop()
        if isinstance(each, Union):
            found.append(each)
            ahead.extend(each.branches)
        elif isinstance(each, Record):
            ahead.extend(field.type for field in each.fields)
        elif isinstance(each, Array):
            ahead.append(each.items)
        elif isinstance(each, MapOf):
            ahead.append(each.values)
    return found


def _check_union(union: Union) -> None:
    seen: dict[str, None] = {}
    for branch in union.branches:
        if isinstance(branch, Union):
            raise InvalidSchemaError("A union stands in a union")
        name = branch.name.full if isinstance(branch, Use | Named) else kind_of(branch)
        if name in seen:
            raise InvalidSchemaError(f"A union has {name} twice")
        seen[name] = None


def _name(text: str, namespace: str) -> Name:
    before, dot, simple = text.rpartition(".")
    return Name(simple, before if dot else namespace)


def _check_spelling(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidSchemaError(f"No name: {shown(name)} (letters, digits and _ are, and no digit at first)")


def _text(value: JsonObject, key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) else None


def _aliases(value: JsonObject) -> Sequence[str]:
    aliases = value.get("aliases", ())
    if not is_array(aliases):
        raise InvalidSchemaError(f"No array of aliases: {shown(aliases)}")
    texts = [alias for alias in aliases if isinstance(alias, str)]
    if len(texts) < len(aliases):
        raise InvalidSchemaError(f"An alias is no text: {shown(aliases)}")
    return texts


def _size(value: JsonObject) -> int:
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 31:
        raise InvalidSchemaError(f"Fixed without a size: {shown(value)}")
    return size


def _number(text: str) -> Json:
    """A default of a float or double that was written as text."""
    try:
        return float(text)
    except ValueError:
        return text


def _properties(value: JsonObject, reserved: frozenset[str]) -> JsonObject:
    return {key: each for key, each in value.items() if key not in reserved}
