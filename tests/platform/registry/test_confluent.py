"""confluent-kafka's registry client and serializers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleSet,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.platform.registry.registry_process import Api

from ottla.testing import InProcessBroker

PERSON = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
    ],
}
PERSON_JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


@pytest.fixture
def sr(api: Api) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": api.url}) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4()}"


def avro(schema: object) -> Schema:
    return Schema(json.dumps(schema), "AVRO")


def through(broker: InProcessBroker, topic: str, value: bytes) -> bytes:
    """What comes out of a topic that went in."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce(topic, value)
    producer.flush(10)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(10)
        assert message is not None
        out = message.value()
        assert out is not None
        return bytes(out)
    finally:
        consumer.close()


def test_avro_values(broker: InProcessBroker, sr: SchemaRegistryClient, name: str) -> None:
    context = SerializationContext(name, MessageField.VALUE)
    written = AvroSerializer(sr, json.dumps(PERSON))({"name": "Ada", "born": None}, context)
    assert written is not None
    value = AvroDeserializer(sr)(through(broker, name, written), context)
    assert value == {"name": "Ada", "born": None}
    assert sr.get_subjects().count(f"{name}-value") == 1


def test_json_values(broker: InProcessBroker, sr: SchemaRegistryClient, name: str) -> None:
    context = SerializationContext(name, MessageField.VALUE)
    text = json.dumps(PERSON_JSON)
    serializer = JSONSerializer(text, sr)
    written = serializer({"name": "Ada", "age": 36}, context)
    assert written is not None
    value = JSONDeserializer(text, schema_registry_client=sr)(through(broker, name, written), context)
    assert value == {"name": "Ada", "age": 36}
    with pytest.raises(SerializationError):
        serializer({"age": "x"}, context)


def message_class(name: str) -> type[Message]:
    """Of `message Person { string name = 1; repeated int64 numbers = 2; }`"""
    file = FileDescriptorProto(name=f"{name}.proto", package="test", syntax="proto3")
    message = file.message_type.add(name="Person")
    message.field.add(name="name", number=1, type=9, label=1)
    message.field.add(name="numbers", number=2, type=3, label=3)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("test.Person"))


def test_protobuf_values(broker: InProcessBroker, sr: SchemaRegistryClient, name: str) -> None:
    person = message_class(name)
    context = SerializationContext(name, MessageField.VALUE)
    settings = {"use.deprecated.format": False}
    given = person(name="Ada", numbers=[1, 2])
    written = ProtobufSerializer(person, sr, settings)(given, context)
    assert written is not None
    out = through(broker, name, written)
    assert ProtobufDeserializer(person, settings, schema_registry_client=sr)(out, context) == given
    text = sr.get_latest_version(f"{name}-value").schema.schema_str
    assert text is not None
    assert "repeated int64 numbers = 2;" in text


def test_ids_and_versions(sr: SchemaRegistryClient, name: str) -> None:
    id_ = sr.register_schema(name, avro(PERSON))
    assert sr.register_schema(f"{name}-2", avro(PERSON)) == id_
    found = sr.get_schema(id_)
    assert json.loads(found.schema_str or "")["name"] == "Person"
    latest = sr.get_latest_version(name)
    assert (latest.schema_id, latest.version, latest.subject) == (id_, 1, name)
    assert sr.lookup_schema(name, avro(PERSON)).version == 1
    assert sr.get_versions(name) == [1]
    assert sr.get_version(name, 1).schema_id == id_
    with pytest.raises(SchemaRegistryError) as caught:
        sr.get_version(name, 2)
    assert caught.value.error_code == 40402


def test_deletes(sr: SchemaRegistryClient, name: str) -> None:
    sr.register_schema(name, avro(PERSON))
    assert sr.delete_version(name, 1) == 1
    sr.clear_caches()
    with pytest.raises(SchemaRegistryError) as caught:
        sr.get_latest_version(name)
    assert caught.value.error_code in (40401, 40402)
    assert sr.delete_subject(name, permanent=True) == [1]


def test_compatibility_and_config(sr: SchemaRegistryClient, name: str) -> None:
    sr.register_schema(name, avro(PERSON))
    wider = {**PERSON, "fields": [*PERSON["fields"], {"name": "must", "type": "string"}]}  # type: ignore[misc]
    assert not sr.test_compatibility(name, avro(wider))
    with pytest.raises(SchemaRegistryError) as caught:
        sr.register_schema(name, avro(wider))
    assert caught.value.http_status_code == 409
    sr.set_compatibility(name, "NONE")
    assert sr.get_compatibility(name) == "NONE"
    assert sr.test_compatibility(name, avro(wider))
    sr.set_config(name, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL, compatibility_group="g"))
    assert sr.get_config(name).compatibility_group == "g"


def test_references(sr: SchemaRegistryClient, name: str) -> None:
    sr.register_schema(f"{name}-inner", avro(PERSON))
    outer = {"type": "record", "name": "Pair", "fields": [{"name": "one", "type": "Person"}]}
    schema = Schema(json.dumps(outer), "AVRO", [SchemaReference("Person", f"{name}-inner", 1)])
    serializer = AvroSerializer(sr, schema)
    context = SerializationContext(name, MessageField.VALUE)
    value = {"one": {"name": "Ada", "born": None}}
    written = serializer(value, context)
    assert written is not None
    assert AvroDeserializer(sr)(written, context) == value


def test_data_contracts(sr: SchemaRegistryClient, name: str) -> None:
    metadata = Metadata(tags=None, properties=MetadataProperties({"owner": "me"}), sensitive=None)
    rule = Rule(
        name="r",
        doc="d",
        kind=RuleKind.CONDITION,
        mode=RuleMode.WRITE,
        type="CEL",
        tags=["PII"],
        params=None,
        expr="true",
        on_success=None,
        on_failure=None,
        disabled=False,
    )
    rules = RuleSet(migration_rules=None, domain_rules=[rule], encoding_rules=None)
    sr.register_schema(name, Schema(json.dumps(PERSON), "AVRO", [], metadata, rules))
    found = sr.get_latest_with_metadata(name, {"owner": "me"})
    assert found.schema is not None
    assert found.schema.metadata is not None
    assert found.schema.metadata.properties == metadata.properties
    assert found.schema.rule_set is not None
    assert found.schema.rule_set.domain_rules is not None
    assert found.schema.rule_set.domain_rules[0].expr == "true"


@pytest.mark.parametrize(
    "call",
    [
        lambda sr: sr.register_schema("bad", Schema('{"type": "nothing"}', "AVRO")),
        lambda sr: sr.register_schema("bad", Schema('{"type": "nothing"}', "JSON")),
        lambda sr: sr.register_schema("bad", Schema("{", "JSON")),
    ],
)
def test_bad_schemas(sr: SchemaRegistryClient, call: Callable[[SchemaRegistryClient], object]) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        call(sr)
    assert caught.value.error_code == 42201
