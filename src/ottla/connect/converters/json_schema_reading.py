"""JSON Schema as Connect's schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.connect.converters.json_schema_writing import ENUM, NULL_MARKER, ONE_OF
from ottla.connect.converters.json_values import JsonRules, reader
from ottla.connect.data.schema import Schema, Type
from ottla.connect.errors import DataError
from ottla.schemas.json_schema.documents import Documents
from ottla.schemas.json_schema.model import Kind, Node, Nodes
from ottla.schemas.json_text import Json, JsonObject, read
from ottla.schemas.limits import Budget, check_size
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["JsonSchemaRules", "read_json_schema"]

_MAX_DEEP: Final = 64
_NUMBERS: Final = {
    kind.value.lower(): kind
    for kind in (Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64, Type.BYTES)
}


class JsonSchemaRules(NamedTuple):
    """What a converter's settings say of schemas."""

    values: JsonRules
    optional_if_not_required: bool = False
    flatten_singletons: bool = True


def read_json_schema(text: str, references: Mapping[str, str], rules: JsonSchemaRules) -> Schema:
    """Raises DataError for what is no JSON Schema, and what Connect has no schema for."""
    try:
        check_size(text, references)
        root = read(text, exact=True)
        documents = {name: read(each, exact=True) for name, each in references.items()}
        nodes = Nodes(Documents(root, documents, Budget("the schema")))
        if not isinstance(root, Mapping):
            raise DataError("a JSON Schema that takes anything has no schema in Connect")
        return _Reading(rules).of(nodes.of(root), optional=False)
    except InvalidSchemaError as error:
        raise DataError(f"the registry's schema is no JSON Schema: {error}") from None
    except RecursionError:
        raise DataError("the JSON Schema is nested too deep") from None


class _Reading:
    def __init__(self, rules: JsonSchemaRules) -> None:
        self._rules = rules
        self._open: list[Node] = []

    def of(self, node: Node, *, optional: bool) -> Schema:
        if node in self._open or len(self._open) > _MAX_DEEP:
            raise DataError("a JSON Schema that is within itself, which Connect has no schema for")
        self._open.append(node)
        try:
            return self._of(node, optional=optional)
        finally:
            self._open.pop()

    def _of(self, node: Node, *, optional: bool) -> Schema:
        said = node.keywords
        match node.kind:
            case Kind.COMBINED:
                return self._combined(node, optional=optional)
            case Kind.OBJECT:
                schema = self._object(node)
            case Kind.ARRAY:
                schema = self._array(node)
            case Kind.STRING:
                schema = Schema(Type.BYTES if said.get("connect.type") == "bytes" else Type.STRING)
            case Kind.NUMBER:
                plain = Type.INT64 if node.integer else Type.FLOAT64
                kind = said.get("connect.type")
                schema = Schema(_NUMBERS.get(kind, plain) if isinstance(kind, str) else plain)
            case Kind.BOOLEAN:
                schema = Schema(Type.BOOLEAN)
            case Kind.ENUM:
                schema = _enum(said.get("enum"))
            case Kind.CONST:
                schema = _enum([said.get("const")])
            case _:
                raise DataError(f"Connect has no schema for what is {node.kind.name.lower()} in JSON Schema")
        return self._described(schema, said, optional=optional)

    def _described(self, schema: Schema, said: JsonObject, *, optional: bool) -> Schema:
        parameters = dict(schema.parameters or {})
        more = said.get("connect.parameters")
        if isinstance(more, Mapping):
            parameters |= {name: str(value) for name, value in more.items()}
        version = said.get("connect.version")
        schema = schema.replace(
            name=_text(said.get("title")) if schema.name is None else None,
            version=version if isinstance(version, int) and not isinstance(version, bool) else None,
            doc=_text(said.get("description")),
            parameters=parameters,
            optional=optional or schema.optional,
        )
        if said.get("default") is None:
            return schema
        return schema.replace(default=reader(schema, self._rules.values)(said["default"]))

    def _combined(self, node: Node, *, optional: bool) -> Schema:
        parts = node.parts()
        if len(parts) == 1 and self._rules.flatten_singletons:
            return self.of(parts[0], optional=optional)
        if node.criterion == "allOf":
            return self._together(node, parts, optional=optional)
        present = [each for each in parts if each.kind is not Kind.NULL]
        if len(parts) == 2 and len(present) == 1:
            return self.of(present[0], optional=True)
        fields = [
            (f"{ONE_OF}.field.{index}", self.of(each, optional=True)) for index, each in enumerate(present)
        ]
        schema = Schema(Type.STRUCT, name=ONE_OF, fields=fields, optional=len(present) < len(parts))
        return self._described(schema, node.keywords, optional=optional)

    def _together(self, node: Node, parts: Sequence[Node], *, optional: bool) -> Schema:
        """All of them hold: their properties are one struct's; what only narrows one down says nothing."""
        properties: dict[str, tuple[Node, bool]] = {}
        for part in parts:
            _collect(part, properties, ())
        if properties:
            fields = [
                (name, self.of(each, optional=self._is_free(required)))
                for name, (each, required) in properties.items()
            ]
            return self._described(Schema(Type.STRUCT, fields=fields), node.keywords, optional=optional)
        by_kind = {each.kind: each for each in parts}
        for kinds in (
            (Kind.COMBINED,), (Kind.ENUM, Kind.STRING), (Kind.NUMBER,), (Kind.STRING,), (Kind.ENUM,),
            (Kind.CONST,), (Kind.BOOLEAN,), (Kind.ARRAY,), (Kind.OBJECT,),
        ):  # fmt: skip
            if all(kind in by_kind for kind in kinds):
                return self.of(by_kind[kinds[0]], optional=optional)
        raise DataError("Connect has no schema for this allOf of a JSON Schema")

    def _is_free(self, required: bool) -> bool:
        return self._rules.optional_if_not_required and not required

    def _object(self, node: Node) -> Schema:
        said = node.keywords
        if said.get("connect.type") == "map":
            others = said.get("additionalProperties")
            if not isinstance(others, Mapping):
                raise DataError("a map in a JSON Schema says nothing of its values")
            values = self.of(node.of(others), optional=False)
            return Schema(Type.MAP, key_schema=Schema(Type.STRING), value_schema=values)
        properties = said.get("properties")
        required = said.get("required")
        needed = required if isinstance(required, Sequence) else ()
        fields: list[tuple[int, str, Schema]] = []
        for at, (name, each) in enumerate(properties.items() if isinstance(properties, Mapping) else ()):
            index = each.get("connect.index") if isinstance(each, Mapping) else None
            schema = self.of(node.of(each), optional=self._is_free(name in needed))
            fields.append((index if isinstance(index, int) else at, name, schema))
        fields.sort(key=lambda one: one[0])
        return Schema(Type.STRUCT, fields=[(name, schema) for _, name, schema in fields])

    def _array(self, node: Node) -> Schema:
        items = node.keywords.get("items")
        if not isinstance(items, Mapping):
            raise DataError("Array schema did not specify the items type")
        if node.keywords.get("connect.type") == "map":
            entry = self._object(node.of(items))
            names = [field.name for field in entry.fields]
            if names == ["key", "value"]:
                key, value = (field.schema for field in entry.fields)
                return Schema(Type.MAP, key_schema=key, value_schema=value)
        return Schema(Type.ARRAY, value_schema=self.of(node.of(items), optional=False))


def _collect(node: Node, properties: dict[str, tuple[Node, bool]], around: tuple[Node, ...]) -> None:
    """The properties of all that has to hold."""
    if node in around or len(around) > _MAX_DEEP:
        return
    if node.kind is Kind.COMBINED and node.criterion == "allOf":
        for part in node.parts():
            _collect(part, properties, (*around, node))
    found = node.keywords.get("properties") if node.kind is Kind.OBJECT else None
    if isinstance(found, Mapping):
        required = node.keywords.get("required")
        needed = required if isinstance(required, Sequence) else ()
        properties |= {name: (node.of(each), name in needed) for name, each in found.items()}


def _enum(values: Json) -> Schema:
    symbols = values if isinstance(values, Sequence) and not isinstance(values, str) else []
    texts = [
        NULL_MARKER if each is None else each if isinstance(each, str) else _shown(each) for each in symbols
    ]
    return Schema(Type.STRING, parameters={ENUM: "", **{f"{ENUM}.{text}": text for text in texts}})


def _shown(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(said: Json) -> str | None:
    return said if isinstance(said, str) else None
