"""Connect's Protobuf and JSON Schema converters and Confluent's client read what the other wrote."""

from __future__ import annotations

import json

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from tests.platform.registry.registry_process import RegistryProcess

from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json_schema import JsonSchemaConverter
from ottla.connect.converters.protobuf import ProtobufConverter
from ottla.connect.data import INT32, INT64, OPTIONAL_STRING, STRING, Struct, array_of, struct_of

SCHEMA = struct_of(
    {"id": INT32, "name": OPTIONAL_STRING, "tags": array_of(STRING)},
    name="ns.Row",
)
VALUES = {"id": 7, "name": "ä", "tags": ["a", "b"]}


def _protobuf(registry: RegistryProcess) -> ProtobufConverter:
    return ProtobufConverter({"schema.registry.url": registry.api.url}, ConverterType.VALUE)


def _json(registry: RegistryProcess) -> JsonSchemaConverter:
    return JsonSchemaConverter({"schema.registry.url": registry.api.url}, ConverterType.VALUE)


def test_confluents_client_reads_our_protobuf(registry: RegistryProcess) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="row.proto", package="ns", syntax="proto3")
    message = file.message_type.add(name="Row")
    message.field.add(name="id", number=1, type=5, label=1)
    message.field.add(name="name", number=2, type=9, label=1)
    message.field.add(name="tags", number=3, type=9, label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    row = message_factory.GetMessageClass(pool.FindMessageTypeByName("ns.Row"))
    data = _protobuf(registry).from_connect("connect-protobuf", SCHEMA, Struct(SCHEMA, VALUES))
    context = SerializationContext("connect-protobuf", MessageField.VALUE)
    with SchemaRegistryClient({"url": registry.api.url}) as client:
        read = ProtobufDeserializer(row, {"use.deprecated.format": False}, client)(data, context)
    assert read == row(**VALUES)


def test_ours_reads_confluents_clients_protobuf(registry: RegistryProcess) -> None:
    context = SerializationContext("connect-theirs-protobuf", MessageField.VALUE)
    with SchemaRegistryClient({"url": registry.api.url}) as client:
        write = ProtobufSerializer(duration_pb2.Duration, client, {"use.deprecated.format": False})
        data = write(duration_pb2.Duration(seconds=-3, nanos=5), context)
    schema, value = _protobuf(registry).to_connect("connect-theirs-protobuf", data)
    assert isinstance(value, Struct)
    assert (value["seconds"], value["nanos"]) == (-3, 5)
    assert schema is not None
    assert schema.by_name["seconds"].schema.type is INT64.type


def test_json_schema_both_ways(registry: RegistryProcess) -> None:
    converter = _json(registry)
    data = converter.from_connect("connect-json", SCHEMA, Struct(SCHEMA, VALUES))
    context = SerializationContext("connect-json", MessageField.VALUE)
    theirs = SerializationContext("connect-theirs-json", MessageField.VALUE)
    text = json.dumps({"title": "R", "type": "object", "properties": {"x": {"type": "integer"}}})
    with SchemaRegistryClient({"url": registry.api.url}) as client:
        assert JSONDeserializer(None, schema_registry_client=client)(data, context) == VALUES
        other = JSONSerializer(text, client)({"x": 5}, theirs)
    schema, value = converter.to_connect("connect-theirs-json", other)
    assert schema == struct_of({"x": INT64}, name="R")
    assert isinstance(value, Struct)
    assert value["x"] == 5
