"""Avro values, whose schemas a registry has, as Arrow arrays and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.avro.encoding import encode_rows
from ottla.client.values.avro.from_arrow import record_name, schema_text
from ottla.client.values.avro.places import Place, place_of
from ottla.client.values.avro.resolution import compile_reading
from ottla.client.values.avro.schema import AvroType, EnumType, FixedType, RecordType, parse
from ottla.client.values.framed import FramedDecoder, FramedEncoder, Registration, needs_topic
from ottla.client.values.interface import Errors, check_errors
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.layout import Column, Layout
from ottla.client.values.programs.plain import Program
from ottla.client.values.registry import Part, Registry, Schema, subject_of

__all__ = ["AvroReading", "AvroValues"]


class AvroReading:
    """The columns of a reader's schema."""

    def __init__(self, schema: Schema, _: bytes, /) -> None:
        layout = Layout()
        self._place: Place = place_of(parse(schema.text, schema.resolved), layout)
        self.layout = layout.words()

    @property
    def type(self) -> pa.DataType:
        return self._place.column.type

    @property
    def column(self) -> Column:
        return self._place.column

    def program(self, schema: Schema, _: bytes | None, /) -> tuple[Program, list[str]]:
        builder = ProgramBuilder()
        entry = compile_reading(parse(schema.text, schema.resolved), self._place, builder)
        return builder.program(entry, self.layout), builder.texts


@dataclass(frozen=True, slots=True)
class AvroWriting:
    schema: AvroType
    indexes: bytes = b""

    def encode(self, rows: pa.Array) -> list[bytes | None]:
        return encode_rows(self.schema, rows)


@dataclass(frozen=True)
class AvroValues:
    """Avro of one `schema` (its text) or, without one, of what values have when they are read and columns
    when they are written. Read, a declared schema is the reader's: values of others are resolved to it.
    """

    registry: Registry
    schema: str | None = None
    errors: Errors = "raise"
    registration: Registration = field(default_factory=Registration)

    def __post_init__(self) -> None:
        check_errors(self.errors)
        if self.schema is not None:
            parse(self.schema)

    def decoder(self) -> FramedDecoder:
        declared = None if self.schema is None else Schema("AVRO", self.schema)
        return FramedDecoder(self.registry, "AVRO", AvroReading, declared)

    def encode(self, _: pa.Array, /) -> BinaryColumn:
        raise needs_topic("Avro")

    def encoder(self, topic: str, part: Part, kind: pa.DataType) -> FramedEncoder:
        options = self.registration
        name: str | None = record_name(topic, part)
        if options.use_latest:
            if self.schema is not None:
                name = _name_of(parse(self.schema))
            subject = subject_of(options.subjects, topic, part, name)
            registered = options.latest(self.registry, subject, "AVRO")
            parsed = parse(registered.schema.text, registered.schema.resolved)
        else:
            text = self.schema or schema_text(kind, record_name(topic, part))
            parsed = parse(text)
            subject = subject_of(options.subjects, topic, part, _name_of(parsed))
            registered = options.registered(self.registry, subject, Schema("AVRO", text))
        return FramedEncoder(AvroWriting(parsed), registered, options, part)


def _name_of(schema: AvroType) -> str | None:
    return schema.name if isinstance(schema, (RecordType, EnumType, FixedType)) else None
