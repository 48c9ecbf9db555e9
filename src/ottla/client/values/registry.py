"""What formats whose schemas live in a registry ask of it, and the frames of their values.

A value is the byte 0, the schema's id as an uint32, and the payload (Confluent's wire format). Or the payload
alone, with the byte 1 and the schema's GUID in the record's header `__key_schema_id` or `__value_schema_id`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

from ottla.client.columns.binary import HeadersColumn
from ottla.client.errors import ClientError
from ottla.client.values.interface import ValuesError

__all__ = [
    "HEADERS",
    "Headed",
    "Part",
    "Reference",
    "Registered",
    "Registry",
    "RegistryError",
    "Schema",
    "SchemaKind",
    "SubjectNames",
    "frame",
    "header_of",
    "headed",
    "subject_of",
]

SchemaKind = Literal["AVRO", "PROTOBUF", "JSON"]
Part = Literal["key", "value"]

SubjectNames = Literal["topic", "record", "topic-record"]
"""What a schema is registered under: the topic's name and the part, the full name of the record (or message),
or the topic's name and that."""

HEADERS: Final[Mapping[str, bytes]] = {"key": b"__key_schema_id", "value": b"__value_schema_id"}

_FRAME: Final = Struct(">bI")
_GUID_SIZE: Final = 16


class RegistryError(ClientError):
    """What a registry refused: its `status` of HTTP, and its own `error_code` (40403: there is no such
    schema), 0 where it gave none."""

    def __init__(self, message: str, status: int = 0, error_code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there."""
        return self.status == 404


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another uses: by `name` there, `version` of `subject` in the registry."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as a registry has it; `resolved` has the text of each reference by its name, and of theirs."""

    kind: SchemaKind
    text: str
    references: Sequence[Reference] = ()
    resolved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema, and what the registry calls it. `guid` and `version` (of the subject that was asked for) are
    None where it did not say."""

    id: int
    schema: Schema
    guid: UUID | None = None
    version: int | None = None


class Registry(Protocol):
    """A schema registry, which any thread may ask. What never changes is asked once. Calls wait for an
    answer; all raise `RegistryError`."""

    def schema(self, schema_id: int | UUID) -> Schema:
        """The schema of an id or a GUID."""

    def known(self, schema_id: int | UUID) -> Schema | None:
        """The same, without waiting: None where it was not asked for yet."""

    def register(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        """What `schema` is called, registered under `subject` if it is not yet."""

    def lookup(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        """What `schema` is called under `subject`, where it has to be."""

    def latest(self, subject: str) -> Registered:
        """The latest version of `subject`; asked again after a while."""


def subject_of(names: SubjectNames, topic: str, part: Part, record: str | None) -> str:
    """What a schema is registered under. `record` is its name, None for a type that has none."""
    if names == "topic":
        return f"{topic}-{part}"
    if record is None:
        raise ValuesError(f"this schema has no name: subjects by {names} need one")
    return record if names == "record" else f"{topic}-{record}"


def frame(schema_id: int) -> bytes:
    """What is in front of a payload."""
    return _FRAME.pack(0, schema_id)


def header_of(guid: UUID, indexes: bytes = b"") -> bytes:
    """The header's value; `indexes` are those of a Protobuf message, as they are in frames."""
    return b"\1" + guid.bytes + indexes


class Headed(NamedTuple):
    """A record whose schema is told by a header: by a GUID or, None there, by an id; `indexes` follow it."""

    row: int
    guid: UUID | None
    id: int
    indexes: bytes


def headed(headers: HeadersColumn | None, part: Part) -> Iterator[Headed]:
    """The records of which a header says what their schema is, the last if there are several."""
    if headers is None or not headers.count:
        return
    name, offsets, start = HEADERS[part], headers.offsets, headers.start
    first, last = offsets[start], offsets[start + headers.length]
    for entry, each in enumerate(headers.names[first:last], first):
        if each != name:
            continue
        value = headers.values[entry] or b""
        row = bisect_right(offsets, entry, start, start + headers.length + 1) - start - 1
        if value[:1] == b"\1" and len(value) > _GUID_SIZE:
            yield Headed(row, UUID(bytes=value[1:17]), 0, value[17:])
        elif value[:1] == b"\0" and len(value) >= _FRAME.size:
            yield Headed(row, None, _FRAME.unpack_from(value)[1], value[5:])
