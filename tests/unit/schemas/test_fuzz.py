"""Whatever the text, a schema comes out or an InvalidSchemaError, and what came out can be used."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.schemas.parsing import parse
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

NAMES = st.sampled_from(["A", "B", "n.A", "n.B", "a", "b", "", "1", "int", "string", "record", "é", "\ud800"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), NAMES, st.text(max_size=5), st.just(10**400)
)

AVRO_KEYS = ["type", "name", "namespace", "doc", "fields", "items", "values", "symbols", "size", "default"]
AVRO_KEYS += ["aliases", "order", "logicalType", "precision", "scale", "x"]
AVRO_TYPES = ["record", "error", "enum", "fixed", "array", "map", "int", "null", "float", "string", "bytes"]

JSON_KEYS = ["$schema", "$id", "id", "$ref", "$defs", "definitions", "$anchor", "$dynamicRef", "type", "enum"]
JSON_KEYS += [
    "const",
    "not",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "properties",
    "required",
    "items",
    "a",
    "b",
]
JSON_KEYS += ["additionalProperties", "patternProperties", "dependencies", "dependentRequired", "prefixItems"]
JSON_KEYS += [
    "additionalItems",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "maxContains",
    "pattern",
]
JSON_KEYS += ["maxLength", "minimum", "multipleOf", "uniqueItems", "minProperties", "maxItems", "default"]
JSON_VALUES = [
    "#",
    "#/definitions/a",
    "#/$defs/b",
    "#a",
    "other",
    "http://x/y",
    "http://[",
    "object",
    "array",
]
JSON_VALUES += ["string", "number", "integer", "https://json-schema.org/draft/2020-12/schema", "(", "^a+$"]
JSON_VALUES += ["http://json-schema.org/draft-04/schema#"]


def documents(keys: list[str], values: list[str]) -> st.SearchStrategy[object]:
    leaves = st.one_of(SCALARS, st.sampled_from(values), st.just(True), st.just({}))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(keys), inner, max_size=6)
        ),
        max_leaves=25,
    )


AVRO = documents(AVRO_KEYS, AVRO_TYPES)
JSON = documents(JSON_KEYS, JSON_VALUES)


def avro_types() -> st.SearchStrategy[object]:
    """Mostly valid: what gets further than the first check."""
    names = st.sampled_from(["A", "B", "C", "n.A"])
    return st.recursive(
        st.one_of(st.sampled_from(["int", "long", "string", "null", "double"]), names),
        lambda inner: st.one_of(
            st.builds(lambda items: {"type": "array", "items": items}, inner),
            st.builds(lambda values: {"type": "map", "values": values}, inner),
            st.lists(inner, max_size=3),
            st.builds(lambda name: {"type": "enum", "name": name, "symbols": ["x", "y"]}, names),
            st.builds(
                lambda name, types: {
                    "type": "record",
                    "name": name,
                    "fields": [{"name": f"f{i}", "type": each} for i, each in enumerate(types)],
                },
                names,
                st.lists(inner, max_size=3),
            ),
        ),
        max_leaves=12,
    )


def use(kind: SchemaType, text: str, references: dict[str, str], *, new: bool) -> ParsedSchema | None:
    try:
        schema = parse(kind, text, references, new=new)
    except InvalidSchemaError:
        return None
    schema.text.encode()
    again = parse(kind, schema.text, references, new=new)
    assert again == schema
    normalised = parse(kind, schema.normalised(), references, new=new)
    assert normalised.normalised() == schema.normalised()
    try:
        assert schema.incompatibilities(again) == []
        assert schema.incompatibilities(normalised) == []
    except InvalidSchemaError:
        assert not new
    return schema


def compare(first: ParsedSchema | None, second: ParsedSchema | None) -> None:
    if first is not None and second is not None:
        for each in first.incompatibilities(second):
            assert each.type
            assert each.message


@pytest.mark.parametrize("kind", list(SchemaType))
@given(text=st.text(max_size=50))
def test_any_text(kind: SchemaType, text: str) -> None:
    use(kind, text, {}, new=True)


@given(document=AVRO, other=AVRO, new=st.booleans())
def test_avro(document: object, other: object, new: bool) -> None:
    use(SchemaType.AVRO, json.dumps(document), {"A": json.dumps(other)}, new=new)


@given(first=avro_types(), second=avro_types())
def test_avro_types(first: object, second: object) -> None:
    compare(*(use(SchemaType.AVRO, json.dumps(each), {}, new=True) for each in (first, second)))


@given(document=JSON, other=JSON, new=st.booleans())
def test_json_schema(document: object, other: object, new: bool) -> None:
    use(SchemaType.JSON, json.dumps(document), {"other": json.dumps(other)}, new=new)


@given(first=JSON, second=JSON)
def test_json_schemas_compared(first: object, second: object) -> None:
    compare(*(use(SchemaType.JSON, json.dumps(each), {}, new=True) for each in (first, second)))


PROTO_WORDS = [*'=;{}<>,()[]:"\\é\n', "//", "/*", "*/", '"proto3"', '"x"', "'y'", "0x1F", "-1.5e3"]
PROTO_WORDS += [
    "syntax",
    "package",
    "import",
    "public",
    "message",
    "enum",
    "M",
    "E",
    "A",
    "0",
    "1",
    "2",
    "true",
]
PROTO_WORDS += [
    "optional",
    "repeated",
    "required",
    "string",
    "int32",
    "map",
    "oneof",
    "o",
    "group",
    "reserved",
]
PROTO_WORDS += ["to", "max", "extensions", "extend", "option", ".a", "service", "rpc", "returns"]


def proto_files() -> st.SearchStrategy[str]:
    """Mostly valid."""
    types = st.sampled_from(["int32", "string", "M0", "M1", ".M0", "map<string, M1>", "E", "sint64", "M0.M1"])
    labels = st.sampled_from(["", "optional ", "repeated "])
    options = st.sampled_from(["", " [deprecated = true]", ' [(x.y).z = {a: 1 b: "c"}, json_name = "q"]'])
    fields = st.lists(st.tuples(labels, types, options), max_size=4).map(
        lambda each: " ".join(f"{a}{b} f{i} = {i + 1}{c};" for i, (a, b, c) in enumerate(each))
    )
    one_ofs = st.lists(types, max_size=2).map(
        lambda each: "oneof o { " + " ".join(f"{t} g{i} = {i + 10};" for i, t in enumerate(each)) + " }"
    )
    messages = st.lists(st.tuples(fields, one_ofs), min_size=1, max_size=3).map(
        lambda each: " ".join(f"message M{i} {{ {a} {b} }}" for i, (a, b) in enumerate(each))
    )
    return messages.map(lambda each: f"syntax = 'proto3'; enum E {{ Z = 0; }} {each}")


PROTO = st.one_of(st.lists(st.sampled_from(PROTO_WORDS), max_size=40).map(" ".join), proto_files())


@given(text=PROTO, other=PROTO, new=st.booleans())
def test_protobuf(text: str, other: str, new: bool) -> None:
    use(SchemaType.PROTOBUF, text, {"x.proto": other}, new=new)


@given(first=PROTO, second=PROTO)
def test_protobuf_compared(first: str, second: str) -> None:
    compare(*(use(SchemaType.PROTOBUF, each, {}, new=True) for each in (first, second)))


@given(data=st.binary(max_size=60))
def test_descriptors(data: bytes) -> None:
    use(SchemaType.PROTOBUF, b64encode(data).decode(), {}, new=False)
