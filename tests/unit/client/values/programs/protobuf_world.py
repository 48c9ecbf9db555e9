"""Protobuf schemas at random, compiled by protoc, and their messages: what Google's library makes of both."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.implementation import Implementation
from ottla.client.values.programs.layout import Layout, as_array
from ottla.client.values.programs.ops import Broken, explain
from ottla.client.values.programs.plain import Program
from ottla.client.values.protobuf.places import Compiler, Place, place_of
from ottla.client.values.protobuf.schema import Messages, written_indexes
from ottla.client.values.registry import frame

MAX_BYTES = 1 << 30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class World:
    """A schema as protoc and as we know it; `name` is that of the message."""

    def __init__(self, text: str, name: str = "R", files: Mapping[str, str] = {}) -> None:
        self.text = text
        self.type: Any = compiled(text, files).FindMessageTypeByName(name)
        self.message: Any = GetMessageClass(self.type)
        messages = Messages(text, files)
        indexes = messages.find(name)
        assert indexes is not None
        self.indexes = indexes
        self.ours = messages.at(indexes)

    def written(self, message: Message, schema_id: int = 1) -> bytes:
        return frame(schema_id) + written_indexes(self.indexes) + message.SerializeToString()

    def program(self, implementation: Implementation) -> tuple[Place, bytes, Program]:
        layout = Layout()
        place = place_of(self.ours, layout)
        builder = ProgramBuilder()
        compiler = Compiler(builder)
        entry = compiler.compile(place)
        words = memoryview(pa.array(self.indexes, pa.int32()).buffers()[1]).tobytes()
        made = builder.program(entry, layout.words(), compiler.slots, words, implementation)
        return place, layout.words(), made

    def decoded(
        self, implementation: Implementation, rows: Iterable[bytes | None], max_bytes: int = MAX_BYTES
    ) -> tuple[pa.Array, dict[int, str]]:
        place, layout, program = self.program(implementation)
        column = BinaryColumn.of(list(rows))
        raw, bad = implementation.decode(layout, {1: program}, column.raw, None, max_bytes)
        array = as_array(place.column, raw)
        array.validate(full=True)
        return array, {each.row: explain(each, {}) for each in map(Broken._make, bad)}


def compiled(text: str, files: Mapping[str, str] = {}) -> DescriptorPool:
    with tempfile.TemporaryDirectory() as folder:
        for name, each in {**files, "schema.proto": text}.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each)
        google = package_files("grpc_tools") / "_proto"
        out = Path(folder, "set")
        code = protoc.main(
            ["protoc", f"-I{folder}", f"-I{google}", f"-o{out}", "--include_imports", "schema.proto"]
        )
        assert code == 0, text
        found = FileDescriptorSet.FromString(out.read_bytes())
    pool = DescriptorPool()
    for file in found.file:
        pool.Add(file)  # type: ignore[attr-defined]
    return pool


def shown(message: Any) -> Any:
    """A message as a row of Arrow is, maps as dicts."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    if name == "google.protobuf.Duration":
        return timedelta(seconds=message.seconds, microseconds=int(message.nanos / 1000))
    if name.startswith("google.protobuf.") and name.endswith("Value"):
        return message.value
    return {field.name: _shown_field(message, field) for field in message.DESCRIPTOR.fields}


def _shown_field(message: Any, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    kind: Any = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        return {key: _shown_value(value[key], inner) for key in value}
    if field.is_repeated:
        return [_shown_value(each, field) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _shown_value(value, field)


def _shown_value(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return shown(value)
    enum: Any = field.enum_type
    if enum is not None:
        known = enum.values_by_number.get(value)
        return str(value) if known is None else known.name
    return value


def rows_of(array: pa.Array) -> list[Any]:
    return array.to_pylist(maps_as_pydicts="strict")


# -- At random

SCALARS = (
    *("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"),
    *("double", "float", "bool", "string", "bytes"),
)
KEYS = tuple(each for each in SCALARS if each not in ("double", "float", "bytes"))
KNOWN = ("Timestamp", "Duration", "Int32Value", "UInt64Value", "StringValue", "BoolValue", "DoubleValue")


def random_schema(chance: random.Random) -> str:
    syntax = chance.choice(("proto2", "proto3", "proto3"))
    lines = [f'syntax = "{syntax}";']
    lines += [
        f'import "google/protobuf/{each}.proto";' for each in ("timestamp", "duration", "wrappers", "empty")
    ]
    lines += [*_message(chance, "R", syntax, 2), "enum E { E_NONE = 0; E_ONE = 1; E_LESS = -1; }"]
    return "\n".join(lines)


def _message(chance: random.Random, name: str, syntax: str, depth: int) -> list[str]:
    lines = [f"message {name} {{"]
    kinds = [*SCALARS, *SCALARS, "E", *(f"google.protobuf.{each}" for each in (*KNOWN, "Empty"))]
    for at in range(chance.randrange(3) if depth else 0):
        inner = f"{name}{at}"
        lines += _message(chance, inner, syntax, depth - 1)
        kinds += [inner] * 4
    numbers = iter(chance.sample([*range(1, 40), 1000, 19_999 + 1, (1 << 29) - 1], 20))
    for at in range(chance.randrange(9)):
        kind, number = chance.choice(kinds), next(numbers)
        label = chance.choice(("optional ", "repeated ", "" if syntax == "proto3" else "optional "))
        packed = ""
        if label == "repeated " and (kind in SCALARS[:13] or kind == "E"):
            packed = chance.choice(("", " [packed=true]", " [packed=false]"))
        if chance.random() < 0.15:
            kind, label, packed = f"map<{chance.choice(KEYS)}, {kind}>", "", ""
        lines.append(f"{label}{kind} f{at} = {number}{packed};")
    if chance.random() < 0.5:
        members = [f"{chance.choice(kinds)} o{at} = {next(numbers)};" for at in range(chance.randrange(1, 4))]
        lines += ["oneof one {", *members, "}"]
    if syntax == "proto2" and chance.random() < 0.3:
        lines.append(f"optional group Grouped{depth} = {next(numbers)} {{ optional int32 g = 1; }}")
    return [*lines, "}"]


def random_message(chance: random.Random, message: Any, depth: int = 4) -> Any:
    kind: Descriptor = message.DESCRIPTOR
    if kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        message.seconds = chance.choice((0, 1, 1 << 31))
        message.nanos = chance.choice((0, 5000, 999_999_000))
        return message
    for field in kind.fields:
        if chance.random() < 0.3:
            continue
        inner: Any = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            _fill_map(chance, getattr(message, field.name), inner, depth)
        elif field.is_repeated:
            for _ in range(chance.choice((0, 1, 3))):
                if inner is not None:
                    random_message(chance, getattr(message, field.name).add(), depth - 1)
                else:
                    getattr(message, field.name).append(_scalar(chance, field))
        elif inner is not None:
            getattr(message, field.name).SetInParent()
            random_message(chance, getattr(message, field.name), depth - 1)
        else:
            setattr(message, field.name, _scalar(chance, field))
    return message


def _fill_map(chance: random.Random, held: Any, entry: Any, depth: int) -> None:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(chance.choice((0, 1, 3))):
        if value.message_type is not None:
            random_message(chance, held[_scalar(chance, key)], depth - 1)
        else:
            held[_scalar(chance, key)] = _scalar(chance, value)


def _scalar(chance: random.Random, field: FieldDescriptor) -> Any:
    enum: Any = field.enum_type
    if enum is not None:
        return chance.choice((0, 1, -1) if enum.is_closed else (0, 1, -1, 77, -(1 << 31)))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return chance.choice((0.0, 1.5, -2.25))
        case FieldDescriptor.CPPTYPE_STRING:
            text = chance.choice(("", "text", "é" * 70))
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    bits = (64 if wide else 32) - signed
    numbers = [0, 1, 127, 128, (1 << bits) - 1, *([-1, -(1 << bits)] if signed else [])]
    return chance.choice(numbers)
