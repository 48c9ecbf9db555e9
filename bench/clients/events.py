"""The events that are summed: as JSON, and as Avro and Protobuf with a schema's id in front."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import UUID

import fastavro
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from ottla.client.values.registry import Registered, RegistryError, Schema, SchemaKind, frame

SCHEMA_ID = 1
"""As a registry gives it that has nothing yet"""

_SINCE_MS = 1_700_000_000_000
_TYPES = {"id": "long", "user": "string", "kind": "string", "at": "long", "amount": "long"}

AVRO = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [{"name": name, "type": kind} for name, kind in _TYPES.items()],
    }
)
PROTOBUF = """syntax = "proto3";
message Event { int64 id = 1; string user = 2; string kind = 3; int64 at = 4; int64 amount = 5; }"""


def event(number: int) -> dict[str, Any]:
    """A third of them bought something; some minutes' worth."""
    chance = random.Random(number)
    return {
        "id": number,
        "user": f"user-{chance.randrange(5000)}",
        "kind": ("view", "click", "buy")[chance.randrange(3)],
        "at": _SINCE_MS + number * 5,
        "amount": chance.randrange(100_000),
    }


def json_event(number: int) -> bytes:
    return json.dumps(event(number)).encode()


def avro_event(number: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _avro(), event(number))
    return frame(SCHEMA_ID) + out.getvalue()


@cache
def _avro() -> Any:
    return fastavro.parse_schema(json.loads(AVRO))


def protobuf_event(number: int) -> bytes:
    """Its message is the first, as the byte in front of it says."""
    return frame(SCHEMA_ID) + b"\0" + bytes(message_class()(**event(number)).SerializeToString())


@cache
def message_class() -> Any:
    """What protoc would make of the schema."""
    kinds = {"long": FieldDescriptorProto.TYPE_INT64, "string": FieldDescriptorProto.TYPE_STRING}
    fields = [
        FieldDescriptorProto(
            name=name, number=number, type=kinds[kind], label=FieldDescriptorProto.LABEL_OPTIONAL
        )
        for number, (name, kind) in enumerate(_TYPES.items(), 1)
    ]
    message = DescriptorProto(name="Event", field=fields)
    file = FileDescriptorProto(name="event.proto", syntax="proto3", message_type=[message])
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("Event"))


MADE: dict[str, Callable[[int], bytes]] = {
    "events": json_event,
    "events, avro": avro_event,
    "events, protobuf": protobuf_event,
}
"""By the kind of the topic that they are in"""


class OneSchema:
    """A registry that has one, so that nobody waits for another process."""

    def __init__(self, kind: SchemaKind, text: str) -> None:
        self._schema = Schema(kind, text)

    def known(self, schema_id: int | UUID) -> Schema | None:
        return self._schema if schema_id == SCHEMA_ID else None

    def schema(self, schema_id: int | UUID) -> Schema:
        if schema_id != SCHEMA_ID:
            raise RegistryError("there is one schema", 404)
        return self._schema

    def register(self, _: str, schema: Schema, *, normalize: bool = False) -> Registered:  # noqa: ARG002
        return Registered(SCHEMA_ID, schema)

    def lookup(self, _: str, schema: Schema, *, normalize: bool = False) -> Registered:  # noqa: ARG002
        return Registered(SCHEMA_ID, schema)

    def latest(self, _: str) -> Registered:
        return Registered(SCHEMA_ID, self._schema)
