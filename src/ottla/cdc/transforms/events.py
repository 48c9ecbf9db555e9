"""What the transforms of Debezium's events share."""

from __future__ import annotations

from ottla.connect.data import Schema, SchemaAndValue, Struct
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectRecord
from ottla.connect.transforms.interface import Record, require_struct

__all__ = ["envelope_of", "part_of"]


def envelope_of(record: ConnectRecord) -> Struct | None:
    """The event, or None for a record that is none: a tombstone, a heartbeat, a transaction's metadata."""
    schema = record.value_schema
    if record.value is None or schema is None or not (schema.name or "").endswith("Envelope"):
        return None
    return require_struct(record.value, "reading an event")


def part_of(event: Struct, name: str) -> tuple[Schema, Struct | None]:
    """`before` or `after`, with its schema. DataError."""
    field = event.schema.field(name)
    if field is None:
        raise DataError(f"the event has no field {name}")
    value = event.values[field.index]
    return field.schema, None if value is None else require_struct(value, f"reading {name}")


def with_value(record: Record, schema: Schema | None, value: Struct | None) -> Record:
    return record.replace(value=SchemaAndValue(schema, value))
