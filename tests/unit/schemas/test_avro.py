"""Avro's canonical texts, which are what Avro's Java library prints, and what it refuses."""

from __future__ import annotations

import json

import pytest

from ottla.schemas.limits import MAX_DEPTH, MAX_INCOMPATIBILITIES, MAX_TEXT
from ottla.schemas.parsing import parse
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType


def avro(text: str, references: dict[str, str] | None = None, *, new: bool = True) -> ParsedSchema:
    return parse(SchemaType.AVRO, text, references, new=new)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('{"type":"string"}', '"string"'),
        ('{"type": "string", "doc": "x", "name": "y", "size": 3}', '"string"'),
        ('{"avro.java.string":"String","type":"string"}', '{"type":"string","avro.java.string":"String"}'),
        ('/* what */ "string" // it is', '"string"'),
        ('["null", {"type": "int"}]', '["null","int"]'),
        ('{"values":"int","type":"map","x":1}', '{"type":"map","values":"int","x":1}'),
        (
            '{"type":"bytes","scale":2,"logicalType":"decimal","precision":4}',
            '{"type":"bytes","scale":2,"logicalType":"decimal","precision":4}',
        ),
        (
            '{"name":"a.b.R","type":"record","fields":[]}',
            '{"type":"record","name":"R","namespace":"a.b","fields":[]}',
        ),
        (
            '{"type":"record","name":".a","namespace":"n","fields":[]}',
            '{"type":"record","name":"a","fields":[]}',
        ),
        (
            '{"type":"record","name":"n.string","fields":[{"name":"f","type":["null","n.string"]}]}',
            '{"type":"record","name":"string","namespace":"n","fields":[{"name":"f","type":["null","n.string"]}]}',
        ),
        (
            '{"type":"enum","name":"E","aliases":[],"p":{"z":1,"a":2},"default":"A","symbols":["A"],"doc":""}',
            '{"type":"enum","name":"E","doc":"","symbols":["A"],"default":"A","p":{"z":1,"a":2}}',
        ),
        (
            (
                '{"type":"record","name":"R","aliases":["Q","x.Q","n.Q"],"namespace":"n","doc":"é\\u000b\\ud83d\\ude00/",'
                '"fields":[{"name":"d","type":"double","default":"1e3","order":"Descending","aliases":["b","a"],'
                '"doc":"q","p":1}]}'
            ),
            (
                '{"type":"record","name":"R","namespace":"n","doc":"é\\u000B😀/","fields":[{"name":"d",'
                '"type":"double","doc":"q","default":1000.0,"order":"descending","aliases":["b","a"],"p":1}],'
                '"aliases":["Q","x.Q"]}'
            ),
        ),
        (
            (
                '{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":{"type":"record","name":"S",'
                '"namespace":"","fields":[{"name":"r","type":["a.R","S","null"]}]}},{"name":"g","type":"S"}]}'
            ),
            (
                '{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":{"type":"record","name":"S",'
                '"namespace":"","fields":[{"name":"r","type":["a.R","S","null"]}]}},{"name":"g","type":"S"}]}'
            ),
        ),
        (
            (
                '{"type":"record","name":"R","x":[1.0,1e10,0.001,1e-5,2.50,null],"fields":['
                '{"name":"g","type":"float","default":12345678},{"name":"h","type":"double","default":12345678.0},'
                '{"name":"i","type":"double","default":-0.0},{"name":"j","type":"bytes","default":"\\u00ff"}]}'
            ),
            (
                '{"type":"record","name":"R","fields":[{"name":"g","type":"float","default":12345678},'
                '{"name":"h","type":"double","default":1.2345678E7},{"name":"i","type":"double","default":-0.0},'
                '{"name":"j","type":"bytes","default":"ÿ"}],"x":[1.0,1.0E10,0.001,1.0E-5,2.5,null]}'
            ),
        ),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    schema = avro(text)
    assert schema.text == canonical
    assert avro(canonical) == schema


def test_a_type_is_written_where_it_is_first_used() -> None:
    text = (
        '{"type":"record","name":"R","fields":[{"name":"x","type":"S"},{"name":"y",'
        '"type":{"type":"fixed","name":"S","size":3}},{"name":"z","type":{"type":"S"}}]}'
    )
    assert avro(text).text == (
        '{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"fixed","name":"S","size":3}},'
        '{"name":"y","type":"S"},{"name":"z","type":"S"}]}'
    )


def test_normalised_text_has_one_order() -> None:
    first = avro(
        '{"type":"record","name":"R","z":1,"aliases":["n.B","A"],"doc":"","fields":[{"name":"a","doc":"",'
        '"type":{"type":"bytes","scale":2,"precision":4,"logicalType":"decimal"},"p":{"b":1,"a":2}},'
        '{"name":"b","type":"double","default":1,"order":"ascending"}],"a":2}'
    )
    second = avro(
        '{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal",'
        '"precision":4,"scale":2},"doc":"","p":{"a":2,"b":1}},{"name":"b","type":"double","default":1.0}],'
        '"a":2,"z":1,"aliases":["A","n.B"]}'
    )
    assert first != second
    assert first.normalised() == second.normalised() == second.text


def test_normalised_text_keeps_every_default() -> None:
    text = '{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":1}]}'
    assert avro(text).normalised() == text


REFERENCES = {
    "other": '{"type":"record","name":"n.Q","fields":'
    '[{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}]}',
    "another": '{"type":"record","name":"n.P","fields":[{"name":"q","type":"n.Q"}]}',
}


def test_references_are_found_by_name_in_whatever_order_they_come() -> None:
    text = '{"type":"record","name":"R","fields":[{"name":"f","type":"n.P"},{"name":"g","type":"n.Q"}]}'
    schema = avro(text, REFERENCES)
    turned = avro(text, dict(reversed(REFERENCES.items())))
    assert schema.text == turned.text == text
    assert schema == turned
    assert hash(schema) == hash(turned)
    assert schema.normalised() == text
    assert avro(text, REFERENCES | {"another": REFERENCES["another"].replace('"q"', '"r"')}) != schema


def test_the_resolved_form_has_all_types_in_it() -> None:
    text = '{"type":"record","name":"R","fields":[{"name":"f","type":"n.P"},{"name":"g","type":"n.Q"}]}'
    resolved = avro(text, REFERENCES).formatted("resolved")
    assert resolved == avro(resolved).text
    assert resolved.count('"symbols"') == 1
    assert avro(resolved, REFERENCES) == avro(text, REFERENCES)


def test_a_type_inside_a_reference_is_written_out() -> None:
    text = '{"type":"record","name":"R","fields":[{"name":"f","type":"n.E"}]}'
    assert avro(text, REFERENCES).text == (
        '{"type":"record","name":"R","fields":[{"name":"f","type":'
        '{"type":"enum","name":"E","namespace":"n","symbols":["A"]}}]}'
    )


def test_a_schema_may_bring_along_what_it_refers_to() -> None:
    inline = f'{{"type":"record","name":"R","fields":[{{"name":"f","type":{REFERENCES["other"]}}}]}}'
    assert (
        avro(inline, REFERENCES).text == '{"type":"record","name":"R","fields":[{"name":"f","type":"n.Q"}]}'
    )
    with pytest.raises(InvalidSchemaError, match=r"n\.E is defined twice"):
        avro(inline.replace('"A"', '"B"'), REFERENCES)


def test_aliases_logical_types_and_properties_make_a_schema() -> None:
    plain = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}'
    others = [
        plain.replace('"R"', '"R","aliases":["Q"]'),
        plain.replace('"R"', '"R","doc":"d"'),
        plain.replace('"a"', '"a","aliases":["b"]'),
        plain.replace('"int"', '{"type":"int","logicalType":"date"}'),
        plain.replace('"int"', '"int","default":0'),
        plain.replace('"int"', '"int","order":"ignore"'),
    ]
    assert len({avro(text) for text in [plain, *others]}) == 1 + len(others)
    assert len({avro(text).normalised() for text in [plain, *others]}) == 1 + len(others)


def record(field: str) -> str:
    return f'{{"type":"record","name":"R","fields":[{field}]}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "string",
        "null",
        "5",
        "true",
        '"string" "int"',
        '"str',
        '"\\ud800"',
        "[NaN]",
        "{}",
        '""',
        '"Missing"',
        '{"type":{"type":"string"}}',
        '{"type":"array"}',
        '{"type":"map","items":"int"}',
        '["int","int"]',
        '["int",["string"]]',
        '[{"type":"int","logicalType":"date"},"int"]',
        '["R",{"type":"record","name":"R","fields":[]}]',
        '{"type":"record","name":"R"}',
        '{"type":"record","fields":[]}',
        '{"type":"record","name":"","fields":[]}',
        '{"type":"record","name":"string","fields":[]}',
        '{"type":"record","name":"1x","fields":[]}',
        '{"type":"record","name":"R","namespace":"a..b","fields":[]}',
        '{"type":"record","name":"R","aliases":["bad-alias"],"fields":[]}',
        '{"type":"record","name":"R","aliases":"Q","fields":[]}',
        '{"type":"record","name":"R","fields":"x"}',
        '{"type":"enum","name":"E"}',
        '{"type":"enum","name":"E","symbols":["A","A"]}',
        '{"type":"enum","name":"E","symbols":[1]}',
        '{"type":"enum","name":"E","symbols":["a-b"]}',
        '{"type":"enum","name":"E","symbols":["A"],"default":"B"}',
        '{"type":"fixed","name":"F"}',
        '{"type":"fixed","name":"F","size":-1}',
        '{"type":"fixed","name":"F","size":"4"}',
        record("5"),
        record('{"name":"a"}'),
        record('{"type":"int"}'),
        record('{"name":"a b","type":"int"}'),
        record('{"name":"a","type":"int"},{"name":"a","type":"long"}'),
        record('{"name":"a","type":"int","order":"up"}'),
        record('{"name":"a","type":"int","default":"x"}'),
        record('{"name":"a","type":"int","default":true}'),
        record('{"name":"a","type":"int","default":2147483648}'),
        record('{"name":"a","type":"long","default":9223372036854775808}'),
        record('{"name":"a","type":"int","default":1.0}'),
        record('{"name":"a","type":"double","default":1e400}'),
        record('{"name":"a","type":"string","default":null}'),
        record('{"name":"a","type":"boolean","default":0}'),
        record('{"name":"a","type":["null","int"],"default":"x"}'),
        record('{"name":"a","type":{"type":"array","items":"int"},"default":[1,"x"]}'),
        record('{"name":"a","type":{"type":"map","values":"int"},"default":{"k":null}}'),
        record(
            '{"name":"a","type":'
            + record('{"name":"b","type":"int"}').replace('"R"', '"S"')
            + ',"default":{}}'
        ),
        record('{"name":"a","type":"R","default":{}}'),
        record('{"name":"a","type":' + record("") + "}"),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        avro(text)
    assert str(caught.value)


def test_a_stored_schema_may_be_older_than_some_checks() -> None:
    for text in (
        record('{"name":"a","type":"int","default":"x"}'),
        '{"type":"record","name":"R","namespace":"a-b","fields":[]}',
    ):
        assert json.loads(avro(text, new=False).text) == json.loads(text)


def nested(levels: int) -> str:
    return '{"type":"array","items":' * levels + '"int"' + "}" * levels


def test_types_are_nested_to_a_limit() -> None:
    schema = avro(nested(MAX_DEPTH))
    assert schema.incompatibilities(avro(nested(MAX_DEPTH))) == []
    for levels in (MAX_DEPTH + 1, 400, 100_000):
        with pytest.raises(InvalidSchemaError):
            avro(nested(levels)[:MAX_TEXT])
    with pytest.raises(InvalidSchemaError, match="characters"):
        avro('"' + " " * MAX_TEXT)


def test_types_that_are_written_out_in_one_another_are_nested_to_a_limit() -> None:
    types = [
        f'{{"type":"record","name":"R{i}","fields":[{{"name":"f","type":"R{i + 1}"}}]}}'
        for i in range(MAX_DEPTH * 2)
    ]
    with pytest.raises(InvalidSchemaError, match="levels deep"):
        avro(f'[{",".join(types)},{{"type":"fixed","name":"R{MAX_DEPTH * 2}","size":1}}]')


def doubling(levels: int, end: str) -> str:
    """A record of two of a record of two ...: as many paths as there are powers of two."""
    types = [f'{{"type":"record","name":"R0","fields":[{{"name":"a","type":{end}}}]}}']
    for i in range(1, levels):
        fields = ",".join(f'{{"name":"{name}","type":"R{i - 1}"}}' for name in "ab")
        types.append(f'{{"type":"record","name":"R{i}","fields":[{fields}]}}')
    return f"[{','.join(reversed(types))}]"


def test_what_is_used_often_is_compared_once() -> None:
    old, new, other = (avro(doubling(40, end)) for end in ('"int"', '"long"', '"string"'))
    assert new.incompatibilities(old) == []
    assert {each.type for each in old.incompatibilities(new)} == {"MISSING_UNION_BRANCH"}
    assert len(other.incompatibilities(old)) == 40
    field = '{"type":"array","items":[{"type":"record","name":"S","fields":['
    wide = [
        avro(field + ",".join(f'{{"name":"f{i}","type":"{type_}"}}' for i in range(1_000)) + "]}]}")
        for type_ in ("int", "string")
    ]
    assert [each.type for each in wide[0].incompatibilities(wide[1])] == ["MISSING_UNION_BRANCH"]
    wide = [avro(schema.text.replace('"items":[', '"items":').replace("]}]}", "]}}")) for schema in wide]
    assert len(wide[0].incompatibilities(wide[1])) == MAX_INCOMPATIBILITIES


def test_defaults_are_checked_in_bounded_time() -> None:
    """Each level has two branches that take the value but for what stands deepest in it."""
    branches = '"int"'
    for i in range(30):
        branches = ",".join(
            f'{{"type":"record","name":"{side}{i}","fields":[{{"name":"a","type":[{branches}]}}]}}'
            if side == "L"
            else f'{{"type":"record","name":"{side}{i}","fields":[{{"name":"a","type":{uses(i)}}}]}}'
            for side in "LR"
        )
    value = '{"a":' * 30 + '"no"' + "}" * 30
    with pytest.raises(InvalidSchemaError, match="default"):
        avro(record(f'{{"name":"f","type":[{branches}],"default":{value}}}'))


def uses(level: int) -> str:
    return f'["L{level - 1}","R{level - 1}"]' if level else '["int"]'
