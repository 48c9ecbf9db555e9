"""JSON Schema's canonical texts, references, and what is refused."""

from __future__ import annotations

import json

import pytest

from ottla.schemas.limits import MAX_JSON_DEPTH, MAX_PAIRS, MAX_PAIRS_DEEP, MAX_TEXT
from ottla.schemas.parsing import parse
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

NEW = "https://json-schema.org/draft/2020-12/schema"


def schema(text: object, references: dict[str, object] | None = None, *, new: bool = True) -> ParsedSchema:
    texts = {name: json.dumps(each) for name, each in (references or {}).items()}
    return parse(SchemaType.JSON, text if isinstance(text, str) else json.dumps(text), texts, new=new)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("true", "true"),
        (" { } ", "{}"),
        ('{"type" : "string", "title":"é\\u001f/"}', '{"type":"string","title":"é\\u001F/"}'),
        (
            '{"enum":[1, 1.0, 1.50, 1e3, -0.0, 1E-7, 0.000001, 12345678901234567890]}',
            '{"enum":[1,1.0,1.50,1E+3,0.0,1E-7,0.000001,12345678901234567890]}',
        ),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert schema(text).text == canonical
    assert schema(canonical).text == canonical


def test_normalised_text_sorts_the_members_of_all_objects() -> None:
    text = '{"b":{"z":1,"a":[{"y":1,"x":2}]},"a":1}'
    assert schema(text).normalised() == '{"a":1,"b":{"a":[{"x":2,"y":1}],"z":1}}'


def test_order_makes_another_schema_unless_it_is_normalised() -> None:
    first, second = schema('{"a":1,"b":2}'), schema('{"b":2,"a":1}')
    assert first != second
    assert first.normalised() == second.normalised()


def test_references_are_found_by_name_in_whatever_order_they_come() -> None:
    root = {"properties": {"a": {"$ref": "a.json"}, "b": {"$ref": "./dir/b.json#/definitions/B"}}}
    references: dict[str, object] = {
        "a.json": {"properties": {"b": {"$ref": "dir/b.json"}}},
        "dir/b.json": {"definitions": {"B": {"type": "string"}}, "properties": {"a": {"$ref": "../a.json"}}},
    }
    first, second = schema(root, references), schema(root, dict(reversed(references.items())))
    assert first == second
    assert first.incompatibilities(second) == []
    changed = references | {"dir/b.json": {"definitions": {"B": {"type": "integer"}}}}
    assert schema(root, changed) != first
    found = schema(root, changed).incompatibilities(first)
    assert [(each.type, each.path) for each in found] == [("TYPE_CHANGED", "#/properties/b")]


def test_a_metaschema_is_known() -> None:
    schema({"properties": {"a": {"$ref": "http://json-schema.org/draft-07/schema#"}}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        "[]",
        '"string"',
        "{",
        '{"enum":[NaN]}',
        '{"title":"\\ud800"}',
        '{"maximum":1e999999}',
        '{"type":"text"}',
        '{"type":[]}',
        '{"type":{}}',
        '{"type":["string",1]}',
        '{"properties":[]}',
        '{"properties":{"a":5}}',
        '{"properties":{"a":{"type":"x"}}}',
        '{"required":true}',
        '{"required":[1]}',
        '{"enum":{}}',
        '{"maxLength":-1}',
        '{"maxLength":1.5}',
        '{"maxLength":true}',
        '{"minimum":"1"}',
        '{"multipleOf":0}',
        '{"uniqueItems":"yes"}',
        '{"pattern":5}',
        '{"allOf":[]}',
        '{"anyOf":{}}',
        '{"oneOf":[5]}',
        '{"not":null}',
        '{"items":5}',
        '{"additionalProperties":"no"}',
        '{"dependencies":{"a":[1]}}',
        '{"dependencies":{"a":"b"}}',
        '{"$ref":5}',
        '{"$ref":"#/definitions/missing"}',
        '{"$ref":"missing.json"}',
        '{"$ref":"http://example.org/not/fetched"}',
        '{"$ref":"http://[bad"}',
        '{"$ref":"#"}',
        '{"$ref":"#/definitions/A","definitions":{"A":{"$ref":"#/definitions/B"},"B":{"$ref":"#/definitions/A"}}}',
        '{"$ref":"#/enum/0","enum":[5]}',
        '{"$ref":"#nowhere"}',
        f'{{"$schema":"{NEW}","prefixItems":5}}',
        f'{{"$schema":"{NEW}","dependentRequired":{{"a":"b"}}}}',
        f'{{"$schema":"{NEW}","$ref":"#/$defs/A","title":"t","$defs":{{"A":{{"$ref":"#","title":"t"}}}}}}',
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        schema(text)
    assert str(caught.value)


def test_a_stored_schema_may_be_older_than_some_checks() -> None:
    assert (
        schema('{"maxLength":"5"}', new=False).incompatibilities(schema('{"minLength":[]}', new=False)) == []
    )
    dangling = schema('{"properties":{"a":{"$ref":"gone.json"}}}', new=False)
    with pytest.raises(InvalidSchemaError, match=r"gone\.json"):
        dangling.incompatibilities(dangling)


def test_names_that_are_keywords_and_data_that_looks_like_schemas() -> None:
    text = {
        "properties": {"$ref": {"type": "string"}, "enum": {"type": "integer"}, "$id": {}, "type": {}},
        "default": {"$ref": "nowhere", "$id": "http://x.org/y"},
        "enum": [{"type": "no type", "$ref": "nowhere"}],
        "const": {"properties": 5},
    }
    assert schema(text).incompatibilities(schema(text)) == []


def test_numbers_of_any_size_are_compared_by_value() -> None:
    big, same, other = (schema(f'{{"const":{text}}}') for text in ("1e300", "10E299", "1e301"))
    assert big.incompatibilities(same) == []
    assert [each.type for each in big.incompatibilities(other)] == ["ENUM_ARRAY_CHANGED"]
    assert schema('{"maxLength":1e40}').incompatibilities(schema('{"maxLength":10}')) == []


def test_depth_is_limited() -> None:
    levels = MAX_JSON_DEPTH - 1
    deep = schema('{"not":' * levels + "{}" + "}" * levels)
    assert deep.incompatibilities(deep) == []
    for levels in (MAX_JSON_DEPTH, 5_000, 100_000):
        with pytest.raises(InvalidSchemaError):
            schema(('{"not":' * levels + "{}" + "}" * levels)[:MAX_TEXT])


def chain(length: int, end: object) -> ParsedSchema:
    """Definitions that each lead to the next."""
    definitions: dict[str, object] = {
        f"D{i}": {"properties": {"a": {"$ref": f"#/definitions/D{i + 1}"}}} for i in range(length)
    }
    return schema({"$ref": "#/definitions/D0", "definitions": definitions | {f"D{length}": end}})


def test_definitions_lead_into_one_another_to_a_limit() -> None:
    old, new = (chain(MAX_PAIRS_DEEP - 1, {"type": each}) for each in ("string", "integer"))
    found = new.incompatibilities(old)
    assert [each.type for each in found] == ["TYPE_CHANGED"]
    assert found[0].path == "#" + "/properties/a" * (MAX_PAIRS_DEEP - 1)
    with pytest.raises(InvalidSchemaError, match="deep"):
        chain(MAX_PAIRS_DEEP, {}).incompatibilities(chain(MAX_PAIRS_DEEP, {}))


def doubling(levels: int, end: object) -> ParsedSchema:
    """An object of two of an object of two ...: as many paths as there are powers of two."""
    definitions: dict[str, object] = {f"D{levels}": end}
    for i in range(levels):
        properties = {name: {"$ref": f"#/definitions/D{i + 1}"} for name in "ab"}
        definitions[f"D{i}"] = {"properties": properties}
    return schema({"$ref": "#/definitions/D0", "definitions": definitions})


def test_what_is_used_often_is_compared_once() -> None:
    old, new = (doubling(60, {"type": each}) for each in ("integer", "number"))
    assert new.incompatibilities(old) == []
    assert {each.type for each in old.incompatibilities(new)} == {"TYPE_NARROWED"}


def test_large_unions_are_matched_with_themselves_and_strange_ones_given_up() -> None:
    def part(name: str) -> object:
        properties = {name: {"type": "string"}}
        return {"type": "object", "properties": properties, "required": [name], "additionalProperties": False}

    def union(*, turned: bool, changed: str = "") -> ParsedSchema:
        parts = [part(f"p{i}{changed}") for i in range(1_500)]
        return schema({"oneOf": parts[::-1] if turned else parts})

    assert union(turned=True).incompatibilities(union(turned=False)) == []
    with pytest.raises(InvalidSchemaError, match=str(MAX_PAIRS)):
        union(turned=True, changed="x").incompatibilities(union(turned=False))


def test_circles_through_unions_hide_nothing() -> None:
    """T0 and T1 are compared while the way back to T0 is open; what was assumed of it then does not last."""

    def circle(first: str, second: str) -> ParsedSchema:
        def part(type_: str, target: str) -> object:
            properties = {"id": {"type": type_}, "ref": {"oneOf": [{"$ref": f"#/definitions/{target}"}]}}
            return {"type": "object", "properties": properties, "required": ["id", "ref"]}

        definitions = {"T0": part(first, "T2"), "T1": part(second, "T2"), "T2": part("string", "T0")}
        return schema(
            {
                "oneOf": [{"$ref": "#/definitions/T0"}, {"$ref": "#/definitions/T1"}],
                "definitions": definitions,
            }
        )

    assert circle("integer", "boolean").incompatibilities(circle("integer", "boolean")) == []
    assert circle("boolean", "number").incompatibilities(circle("integer", "boolean")) != []


def test_many_patterns_for_many_names_are_given_up() -> None:
    closed: dict[str, object] = {"type": "object", "additionalProperties": False}
    patterns = {f"^(a|b){{1,50}}{i}": {} for i in range(500)}
    new = schema(closed | {"patternProperties": patterns})
    old = schema(closed | {"properties": {"ab" * 50 + str(i): {} for i in range(5_000)}})
    with pytest.raises(InvalidSchemaError, match=str(MAX_PAIRS)):
        new.incompatibilities(old)


def test_patterns_are_matched_in_linear_time() -> None:
    name = "a" * 5_000
    pattern = {"^(a|a)*(a|aa)+$b": {"type": "string"}, "(": {}}
    old = {"type": "object", "properties": {name: {"type": "string"}}, "patternProperties": pattern}
    closed = {"additionalProperties": False}
    new = {"type": "object", "patternProperties": pattern}
    found = schema(new | closed).incompatibilities(schema(old | closed))
    assert [each.type for each in found] == ["PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"]
