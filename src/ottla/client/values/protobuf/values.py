"""Protobuf values, whose schemas a registry has, as Arrow arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.framed import FramedDecoder, FramedEncoder, Reading, Registration, needs_topic
from ottla.client.values.interface import Errors, ValuesError, check_errors
from ottla.client.values.protobuf.encoding import encode_rows
from ottla.client.values.protobuf.from_arrow import message_name, schema_text
from ottla.client.values.protobuf.reading import ProtobufReading
from ottla.client.values.protobuf.references import registered_imports
from ottla.client.values.protobuf.schema import Messages, MessageType, messages_of, written_indexes
from ottla.client.values.registry import Part, Registry, Schema, subject_of

__all__ = ["ProtobufValues"]


@dataclass(frozen=True, slots=True)
class ProtobufWriting:
    message: MessageType
    indexes: bytes

    def encode(self, rows: pa.Array) -> list[bytes | None]:
        return encode_rows(self.message, rows)


@dataclass(frozen=True)
class ProtobufValues:
    """Protobuf of one `message` (a full name; without it the first) of a `schema` (a .proto file's text) or,
    without a schema, of what values have when they are read and columns when they are written. `files` has
    the texts that it imports, by their paths.

    Read, a declared schema says which fields there are. Values of other messages are broken.
    """

    registry: Registry
    schema: str | None = None
    message: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    errors: Errors = "raise"
    registration: Registration = field(default_factory=Registration)

    def __post_init__(self) -> None:
        check_errors(self.errors)
        if self.schema is not None:
            self._chosen(messages_of(self.schema, self.files))

    def decoder(self) -> FramedDecoder:
        declared = None
        if self.schema is not None:
            declared = Schema("PROTOBUF", self.schema, resolved=self.files)
        return FramedDecoder(self.registry, "PROTOBUF", self._reading, declared)

    def _reading(self, schema: Schema, payload: bytes, /) -> Reading:
        return ProtobufReading(schema, self.message, payload)

    def encode(self, _: pa.Array, /) -> BinaryColumn:
        raise needs_topic("Protobuf")

    def encoder(self, topic: str, part: Part, kind: pa.DataType) -> FramedEncoder:
        options = self.registration
        name = self.message or message_name(topic, part)
        if options.use_latest:
            if self.schema is not None:
                declared = messages_of(self.schema, self.files)
                name = declared.at(self._chosen(declared)).name
            subject = subject_of(options.subjects, topic, part, name)
            registered = options.latest(self.registry, subject, "PROTOBUF")
            messages = messages_of(registered.schema.text, registered.schema.resolved)
            indexes = self._in_latest(messages, subject, name)
        else:
            text = self.schema or schema_text(kind, name)
            messages = messages_of(text, self.files)
            indexes = self._chosen(messages)
            subject = subject_of(options.subjects, topic, part, messages.at(indexes).name)
            references = registered_imports(
                self.registry, text, self.files, registers=options.register, normalize=options.normalize
            )
            schema = Schema("PROTOBUF", text, references, self.files if references else {})
            registered = options.registered(self.registry, subject, schema)
        writing = ProtobufWriting(messages.at(indexes), written_indexes(indexes))
        return FramedEncoder(writing, registered, options, part)

    def _chosen(self, messages: Messages) -> tuple[int, ...]:
        found = (0,) if self.message is None else messages.find(self.message)
        if found is None:
            raise ValuesError(f"the Protobuf schema has no message {self.message}")
        messages.at(found)
        return found

    def _in_latest(self, messages: Messages, subject: str, name: str) -> tuple[int, ...]:
        """The message of the declared name; where none was declared, the first."""
        found = messages.find(name)
        if found is None and (self.schema is not None or self.message is not None):
            raise ValuesError(f"the latest schema of {subject} has no message {name}")
        return found or (0,)
