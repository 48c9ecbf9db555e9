"""Avro values to Arrow by one implementation."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.avro.places import place_of
from ottla.client.values.avro.resolution import compile_reading
from ottla.client.values.avro.schema import parse
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.implementation import Implementation
from ottla.client.values.programs.layout import Layout, as_array
from ottla.client.values.programs.ops import Broken, explain
from ottla.client.values.registry import frame

MAX_BYTES = 1 << 30


def written(schema: Any, value: Any) -> bytes:
    """Unframed, by fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def framed(schema: Any, values: list[Any], schema_id: int = 1) -> list[bytes | None]:
    return [frame(schema_id) + written(schema, value) for value in values]


def decoded(
    implementation: Implementation,
    reader: Any,
    writers: dict[int, Any],
    rows: list[bytes | None],
    max_bytes: int = MAX_BYTES,
) -> tuple[pa.Array, dict[int, str]]:
    """The rows as `reader` has them, and what is broken."""
    layout = Layout()
    place = place_of(parse(json.dumps(reader)), layout)
    programs, texts = {}, {}
    for schema_id, writer in writers.items():
        builder = ProgramBuilder()
        entry = compile_reading(parse(json.dumps(writer)), place, builder)
        programs[schema_id] = builder.program(entry, layout.words(), implementation=implementation)
        texts[schema_id] = builder.texts
    raw, bad = implementation.decode(layout.words(), programs, BinaryColumn.of(rows).raw, None, max_bytes)
    array = as_array(place.column, raw)
    array.validate(full=True)
    return array, {each.row: explain(each, texts) for each in map(Broken._make, bad)}
