"""Connect's Avro converter and Confluent's client for Python read what the other wrote."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from tests.platform.registry.registry_process import RegistryProcess

from ottla.connect.converters.avro import AvroConverter
from ottla.connect.converters.interface import ConverterType
from ottla.connect.data import (
    DATE,
    INT32,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP,
    Struct,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
)

NOW = dt.datetime(2024, 2, 29, 12, 30, 0, 5000, tzinfo=dt.UTC)
SCHEMA = struct_of(
    {
        "id": INT32, "name": OPTIONAL_STRING, "price": decimal_schema(2), "day": DATE, "at": TIMESTAMP,
        "tags": array_of(STRING), "counts": map_of(STRING, INT32),
        "inner": struct_of({"x": INT32}, name="ns.Inner"),
    },
    name="ns.Row",
)  # fmt: skip


def test_confluents_client_reads_ours(registry: RegistryProcess) -> None:
    converter = AvroConverter({"schema.registry.url": registry.api.url}, ConverterType.VALUE)
    inner = SCHEMA.fields[-1].schema
    row = Struct(
        SCHEMA,
        {
            "id": 7, "name": None, "price": Decimal("12.50"), "day": dt.date(2024, 2, 29), "at": NOW,
            "tags": ["a"],
            "counts": {"k": 1}, "inner": Struct(inner, {"x": 3}),
        },
    )  # fmt: skip
    data = converter.from_connect("connect-ours", SCHEMA, row)
    with SchemaRegistryClient({"url": registry.api.url}) as client:
        read = AvroDeserializer(client)(data, SerializationContext("connect-ours", MessageField.VALUE))
    assert read == {
        "id": 7, "name": None, "price": Decimal("12.50"), "day": dt.date(2024, 2, 29), "at": NOW,
            "tags": ["a"],
        "counts": {"k": 1}, "inner": {"x": 3},
    }  # fmt: skip
    assert AvroConverter({"schema.registry.url": registry.api.url}, ConverterType.VALUE).to_connect(
        "connect-ours", data
    ) == (SCHEMA, row)


def test_ours_reads_confluents_client(registry: RegistryProcess) -> None:
    fields = [
        {"name": "id", "type": "long"},
        {"name": "either", "type": ["null", "string", "int"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["ONE", "TWO"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]
    text = json.dumps({"type": "record", "name": "Theirs", "namespace": "ns", "fields": fields})
    written = {"id": 5, "either": 3, "kind": "TWO", "at": NOW}
    with SchemaRegistryClient({"url": registry.api.url}) as client:
        context = SerializationContext("connect-theirs", MessageField.VALUE)
        data = AvroSerializer(client, text)(written, context)
    converter = AvroConverter({"schema.registry.url": registry.api.url}, ConverterType.VALUE)
    schema, value = converter.to_connect("connect-theirs", data)
    assert isinstance(value, Struct)
    assert (value["id"], value["kind"], value["at"]) == (5, "TWO", NOW)
    either = value.struct("either")
    assert either is not None
    assert (either["string"], either["int"]) == (None, 3)
    assert schema is not None
    assert schema.name == "ns.Theirs"
