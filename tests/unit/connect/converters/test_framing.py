"""What the converters with a registry have in common."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.unit.connect.converters.test_avro import URL, Remembering

from ottla.client.values.registry import Schema as RegisteredSchema
from ottla.client.values.registry import SchemaKind
from ottla.connect.converters.avro import AvroConverter
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json_schema import JsonSchemaConverter
from ottla.connect.converters.protobuf import ProtobufConverter
from ottla.connect.data import INT32, Struct, struct_of


def avro(names: list[str]) -> str:
    fields = [{"name": name, "type": "int", "default": 0} for name in names]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


def protobuf(names: list[str]) -> str:
    fields = (f"int32 {name} = {number};" for number, name in enumerate(names, 1))
    return f'syntax = "proto3"; message R {{ {" ".join(fields)} }}'


def json_schema(names: list[str]) -> str:
    return json.dumps(
        {"type": "object", "title": "R", "properties": {name: {"type": "integer"} for name in names}}
    )


@pytest.mark.parametrize(
    ("kind", "class_", "text"),
    [
        ("AVRO", AvroConverter, avro),
        ("PROTOBUF", ProtobufConverter, protobuf),
        ("JSON", JsonSchemaConverter, json_schema),
    ],
)
def test_the_latest_schema_is_worked_out_once_and_again_when_it_changes(
    kind: SchemaKind,
    class_: type[AvroConverter | ProtobufConverter | JsonSchemaConverter],
    text: Callable[[list[str]], str],
) -> None:
    registry = Remembering()
    schema = struct_of({"n": INT32}, name="R")
    one = class_({**URL, "use.latest.version": "true"}, ConverterType.VALUE, registry)
    written: list[object] = []
    for names in (["n"], ["n", "m"]):
        found = registry.register("t-value", RegisteredSchema(kind, text(names)))
        for _ in range(2):
            data = one.from_connect("t", schema, Struct(schema, {"n": 7}))
            assert data is not None
            assert int.from_bytes(data[1:5], "big") == found.id
            written.append(one._writings["t", schema])
    assert written[0] is written[1]
    assert written[1] is not written[2]
    assert written[2] is written[3]
