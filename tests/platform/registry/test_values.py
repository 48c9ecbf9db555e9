"""`ottla.client` and confluent-kafka: what the one writes with a schema in the registry, the other reads."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from tests.platform.registry.registry_process import Api
from tests.unit.client.values.programs.protobuf_world import World

from ottla import client
from ottla.client.values.interface import Values
from ottla.testing import InProcessBroker

Ids = Literal["value", "header"]

AVRO = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
        ],
    }
)
JSON = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Order",
        "type": "object",
        "properties": {"id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    }
)
PROTOBUF = """syntax = "proto3"; package shop;
    message Before { map<string, int32> m = 1; message In { int32 a = 1; } }
    message Outer {
      map<string, int32> counts = 1;
      message First { int32 a = 1; }
      map<string, First> firsts = 2;
      message Order { int64 id = 1; repeated string tags = 2; }
    }"""
ROW = {"id": 7, "tags": ["a", "b"]}


@pytest.fixture
def topic() -> str:
    return f"t-{uuid.uuid4()}"


@pytest.fixture
def sr(api: Api) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": api.url}) as made:
        yield made


@pytest.fixture
def world() -> World:
    return World(PROTOBUF, "shop.Outer.Order")


def serializer(kind: str, ids: Ids, sr: SchemaRegistryClient, world: World) -> Any:
    settings = {
        "schema.id.serializer": header_schema_id_serializer
        if ids == "header"
        else prefix_schema_id_serializer
    }
    if kind == "avro":
        return AvroSerializer(sr, AVRO, conf=settings)
    if kind == "json":
        return JSONSerializer(JSON, sr, conf=settings)
    proto = ProtobufSerializer(world.message, sr, {"use.deprecated.format": False, **settings})
    return lambda row, context: proto(world.message(**row), context)


def deserializer(kind: str, sr: SchemaRegistryClient, world: World) -> Any:
    if kind == "avro":
        return AvroDeserializer(sr)
    if kind == "json":
        return JSONDeserializer(JSON, schema_registry_client=sr)
    proto = ProtobufDeserializer(world.message, {"use.deprecated.format": False}, sr)

    def read(value: bytes, context: SerializationContext) -> dict[str, Any]:
        message: Any = proto(value, context)
        return {"id": message.id, "tags": [*message.tags]}

    return read


def values_of(kind: str, ids: Ids, api: Api) -> Values:
    if kind == "avro":
        return client.avro(api.url, AVRO, ids=ids)
    if kind == "json":
        return client.json_schema(api.url, JSON, ids=ids, validate=True)
    return client.protobuf(api.url, PROTOBUF, "shop.Outer.Order", ids=ids)


@pytest.mark.parametrize("ids", ["value", "header"])
@pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])
def test_confluent_kafka_writes_and_we_read(
    broker: InProcessBroker,
    api: Api,
    sr: SchemaRegistryClient,
    world: World,
    topic: str,
    kind: str,
    ids: Ids,
) -> None:
    headers: list[tuple[str, bytes]] = []
    context = SerializationContext(topic, MessageField.VALUE, headers)
    value = serializer(kind, ids, sr, world)(ROW, context)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce(topic, value, headers=headers)
    assert producer.flush(20) == 0
    assert bool(headers) == (ids == "header")
    anything = {"avro": client.avro, "json": client.json_schema, "protobuf": client.protobuf}[kind]
    with client.connect(broker.bootstrap_servers) as c:
        for values in (anything(api.url), values_of(kind, "value", api)):
            assert c.read(topic, value=values)["value"].to_pylist() == [ROW]


@pytest.mark.parametrize("ids", ["value", "header"])
@pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])
def test_we_write_and_confluent_kafka_reads(
    broker: InProcessBroker,
    api: Api,
    sr: SchemaRegistryClient,
    world: World,
    topic: str,
    kind: str,
    ids: Ids,
) -> None:
    with client.connect(broker.bootstrap_servers) as c:
        c.write(topic, pa.table({"value": [ROW]}), value=values_of(kind, ids, api))
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(20)
        assert message is not None
        value, headers = message.value(), message.headers() or []
    finally:
        consumer.close()
    assert bool(headers) == (ids == "header")
    context = SerializationContext(topic, MessageField.VALUE, headers)
    assert deserializer(kind, sr, world)(value, context) == ROW
