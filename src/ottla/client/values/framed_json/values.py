"""JSON values, whose JSON Schemas a registry has, as Arrow arrays and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa

from ottla.client.columns.arrow import as_column
from ottla.client.columns.binary import BinaryColumn
from ottla.client.errors import missing_extra
from ottla.client.values.cells import with_nulls
from ottla.client.values.framed import FramedDecoder, FramedEncoder, Registration, needs_topic
from ottla.client.values.framed_json.from_arrow import schema_text
from ottla.client.values.framed_json.shapes import Shape, shape_of, title_of
from ottla.client.values.interface import Decoded, Errors, ValuesError, check_errors
from ottla.client.values.json import JsonDecoder, JsonValues
from ottla.client.values.json_plan import plan_of
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.layout import Column, Layout
from ottla.client.values.programs.ops import ColumnKind, Op
from ottla.client.values.programs.plain import Program
from ottla.client.values.registry import Part, Registry, Schema, subject_of

__all__ = ["JsonSchemaDecoder", "JsonSchemaValues"]

Validate = Callable[[bytes], str | None]
"""Why a value is not what it has to be; None where it is"""


class _Payloads:
    """The values without what is in front of them, as one column; `shape` is what is in them."""

    def __init__(self, schema: Schema, _: bytes, /) -> None:
        self.shape = shape_of(schema.text, schema.resolved)
        layout = Layout()
        self.column: Column = layout.leaf(ColumnKind.BINARY, pa.binary())
        self.layout = layout.words()

    @property
    def type(self) -> pa.DataType:
        return self.column.type

    def program(self, _: Schema, __: bytes | None, /) -> tuple[Program, list[str]]:
        builder = ProgramBuilder()
        return builder.program(builder.add(Op.BLOB, self.column.at), self.layout), builder.texts


@dataclass
class JsonSchemaDecoder(FramedDecoder):
    """Reads one stream: as the schema that is declared or the newest of the first batch says, whatever else
    values of other schemas have."""

    validates: bool = False
    _json: JsonDecoder | None = None
    _schemas: dict[int, Schema] = field(default_factory=dict)
    _validators: dict[int, Validate] = field(default_factory=dict)

    @property
    def type(self) -> pa.DataType | None:
        return None if self._json is None else self._json.type

    def _decoded(self, column: BinaryColumn, assigned: memoryview | None) -> Decoded:
        payloads = super()._decoded(column, assigned)
        if self._json is None:
            if not isinstance(self._reading, _Payloads):
                return payloads
            shape = self._reading.shape
            self._json = JsonDecoder(None if shape.type is None else plan_of(shape.type))
        broken = dict(payloads.broken)
        rows = as_column(payloads.array)
        if self.validates:
            rows = self._validated(column, assigned, rows, broken)
        decoded = self._json.decode(rows)
        self.counts.broken += len(decoded.broken) + len(broken) - len(payloads.broken)
        return Decoded(decoded.array, {**broken, **decoded.broken})

    def _validated(
        self, column: BinaryColumn, assigned: memoryview | None, rows: BinaryColumn, broken: dict[int, str]
    ) -> BinaryColumn:
        """`rows` without those that their schema does not allow; these are added to `broken`."""
        kept: list[bytes | None] = []
        for at, (value, payload) in enumerate(zip(column, rows, strict=True)):
            if payload is not None and value is not None:
                number = assigned[at] if assigned is not None and assigned[at] else None
                reason = self._validator(int.from_bytes(value[1:5]) if number is None else number)(payload)
                if reason is not None:
                    broken[at] = reason
                    payload = None
            kept.append(payload)
        return BinaryColumn.of(kept)

    def _validator(self, number: int) -> Validate:
        found = self._validators.get(number)
        if found is None:
            found = self._validators[number] = validator_of(self._schemas[number])
        return found

    def _learn(self, number: int, schema: Schema, indexes: bytes | None) -> None:
        super()._learn(number, schema, indexes)
        if number in self._programs:
            self._schemas[number] = schema


@dataclass(frozen=True, slots=True)
class JsonSchemaWriting:
    """`shape` says what is left out rather than null; None where nothing is."""

    shape: Shape | None
    validate: Validate | None
    indexes: bytes = b""

    def encode(self, rows: pa.Array) -> list[bytes | None]:
        encoded = with_nulls(self._encoded, rows)
        if self.validate is not None:
            for each in encoded:
                if each is not None and (reason := self.validate(each)) is not None:
                    raise ValuesError(f"a value is not what its JSON Schema says: {reason}")
        return encoded

    def _encoded(self, rows: pa.Array) -> list[bytes]:
        found = [each or b"null" for each in JsonValues().encode(rows)]
        if self.shape is None:
            return found
        return [_without_nulls(self.shape, each) for each in found]


_NULL: Final = b"null"
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def _without_nulls(shape: Shape, value: bytes) -> bytes:
    """An object without the fields that are null and must not be."""
    if value == _NULL or not shape.has_required:
        return value
    if shape.fields:
        members = {}
        for name, member in _members(value).items():
            each, inner = bytes(member), shape.fields.get(name)
            if inner is None:
                members[name] = member
            elif each != _NULL or inner.is_nullable:
                members[name] = msgspec.Raw(_without_nulls(inner, each))
        return _encode(members)
    assert shape.item is not None
    inner = shape.item
    if value[:1] == b"[":
        return _encode([msgspec.Raw(_without_nulls(inner, bytes(each))) for each in _items(value)])
    pairs = _members(value).items()
    return _encode({name: msgspec.Raw(_without_nulls(inner, bytes(each))) for name, each in pairs})


@dataclass(frozen=True)
class JsonSchemaValues:
    """JSON of one `schema` (its text) or, without one, of what values have when they are read and columns
    when they are written. `validates`: each value is compared with its schema, as Confluent's clients do.
    """

    registry: Registry
    schema: str | None = None
    validates: bool = False
    errors: Errors = "raise"
    registration: Registration = field(default_factory=Registration)

    def __post_init__(self) -> None:
        check_errors(self.errors)
        if self.schema is not None:
            shape_of(self.schema)

    def decoder(self) -> JsonSchemaDecoder:
        declared = None if self.schema is None else Schema("JSON", self.schema)
        return JsonSchemaDecoder(self.registry, "JSON", _Payloads, declared, validates=self.validates)

    def encode(self, _: pa.Array, /) -> BinaryColumn:
        raise needs_topic("JSON Schema")

    def encoder(self, topic: str, part: Part, kind: pa.DataType) -> FramedEncoder:
        options = self.registration
        title = f"{topic}-{part}" if self.schema is None else title_of(self.schema)
        subject = subject_of(options.subjects, topic, part, title)
        if options.use_latest:
            registered = options.latest(self.registry, subject, "JSON")
        else:
            text = self.schema or schema_text(kind, f"{topic}-{part}")
            registered = options.registered(self.registry, subject, Schema("JSON", text))
        schema = registered.schema
        shape = shape_of(schema.text, schema.resolved)
        if kind == pa.json_():  # text, which is written as it is
            shape = Shape(None)
        elif shape.fields and not pa.types.is_struct(kind):
            raise ValuesError(f"{kind} where the JSON Schema has an object")
        validate = validator_of(schema) if self.validates else None
        writing = JsonSchemaWriting(shape if shape.has_required else None, validate)
        return FramedEncoder(writing, registered, options, part)


def validator_of(schema: Schema) -> Validate:
    """What compares values with `schema`."""
    try:
        from ottla.client.values.framed_json import validation
    except ImportError as error:
        raise missing_extra("values that are compared with a JSON Schema", error, "json-schema") from error
    return validation.validator_of(schema)
