"""Values whose schema a registry has: what Avro, Protobuf and JSON Schema do alike."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, Protocol, runtime_checkable
from uuid import UUID

import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.values.interface import Counts, Decoded, Errors, ValuesError
from ottla.client.values.programs.implementation import IMPLEMENTATION
from ottla.client.values.programs.layout import Column, as_array
from ottla.client.values.programs.ops import Broken, ColumnKind, explain
from ottla.client.values.programs.plain import Program
from ottla.client.values.registry import (
    HEADERS,
    Headed,
    Part,
    Registered,
    Registry,
    RegistryError,
    Schema,
    SubjectNames,
    frame,
    headed,
    header_of,
)

__all__ = [
    "FramedDecoder",
    "FramedEncoder",
    "FramedValues",
    "Reading",
    "Registration",
    "Writing",
    "needs_topic",
]

_MAX_BYTES: Final = 1 << 32
"""Of the columns of a batch"""

_MAX_MISSING: Final = 20
"""Ids that the registry does not have, for each batch; it is not asked for more"""

_MAX_BEGINNINGS: Final = 20
"""Values that are asked what is to be read"""

_FIRST_MISSING: Final = -(1 << 30)

_log: Final = logging.getLogger(__name__)

_NOTHING: Final = Column(0, ColumnKind.NULL, pa.null())
_NOTHING_WORDS: Final = array("i", (ColumnKind.NULL, 0, 1)).tobytes()


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How schemas get to a registry, and their ids into records, with the defaults of Confluent's clients.

    `subjects` says what a schema is registered under. `register`: it is, where it is not yet; otherwise it
    has to be. `use_latest`: the subject's latest schema is written, not the one that columns have. `ids`:
    in front of each value, or its GUID in a header.
    """

    subjects: SubjectNames = "topic"
    register: bool = True
    use_latest: bool = False
    normalize: bool = False
    ids: Literal["value", "header"] = "value"

    def __post_init__(self) -> None:
        if self.subjects not in ("topic", "record", "topic-record"):
            raise ValuesError(f'subjects is "topic", "record" or "topic-record", not {self.subjects!r}')
        if self.ids not in ("value", "header"):
            raise ValuesError(f'ids is "value" or "header", not {self.ids!r}')

    def registered(self, registry: Registry, subject: str, schema: Schema) -> Registered:
        """What the registry calls `schema`."""
        if not self.register:
            return registry.lookup(subject, schema, normalize=self.normalize)
        found = registry.register(subject, schema, normalize=self.normalize)
        if self.ids == "header" and found.guid is None:
            return registry.lookup(subject, schema, normalize=self.normalize)
        return found

    def latest(self, registry: Registry, subject: str, kind: str) -> Registered:
        """The latest of `subject`, which has to be of `kind`."""
        found = registry.latest(subject)
        if found.schema.kind != kind:
            raise ValuesError(f"the latest schema of {subject} is of type {found.schema.kind}, not {kind}")
        if self.ids == "header" and found.guid is None:
            return registry.lookup(subject, found.schema)
        return found


class Reading(Protocol):
    """What a stream's values are read as, once that is known."""

    @property
    def type(self) -> pa.DataType: ...
    @property
    def layout(self) -> bytes: ...
    @property
    def column(self) -> Column: ...
    def program(self, schema: Schema, indexes: bytes | None, /) -> tuple[Program, list[str]]:
        """Reads values of `schema` (of the message that `indexes` names, where they are not in the values);
        and the texts of what fails in it. ValuesError where there is no such program."""


class Writing(Protocol):
    """How rows of one type are written."""

    @property
    def indexes(self) -> bytes:
        """Of a Protobuf message, as frames have them."""

    def encode(self, rows: pa.Array) -> list[bytes | None]: ...


@dataclass(slots=True)
class FramedEncoder:
    """Writes rows for one topic. `header` is to be added to each record."""

    writing: Writing
    registered: Registered
    registration: Registration
    part: Part

    @property
    def header(self) -> tuple[bytes, bytes] | None:
        if self.registration.ids == "value":
            return None
        if self.registered.guid is None:
            raise ValuesError("the registry has no GUIDs: ids are written in front of values")
        return HEADERS[self.part], header_of(self.registered.guid, self.writing.indexes)

    def encode(self, rows: pa.Array) -> BinaryColumn:
        if pa.types.is_null(rows.type):
            return BinaryColumn.of([None] * len(rows))
        prefix = frame(self.registered.id) + self.writing.indexes if self.header is None else b""
        encoded = self.writing.encode(rows)
        return BinaryColumn.of([None if each is None else prefix + each for each in encoded])


@runtime_checkable
class FramedValues(Protocol):
    """A format whose values need a registry: `Values`, and an encoder for each topic."""

    @property
    def errors(self) -> Errors: ...

    def decoder(self) -> FramedDecoder: ...

    def encoder(self, topic: str, part: Part, kind: pa.DataType) -> FramedEncoder:
        """Writes rows of `kind` as the `part` of records of `topic`. Asks the registry, and waits."""

    def encode(self, array: pa.Array, /) -> BinaryColumn: ...


@dataclass(slots=True)
class FramedDecoder:
    """Reads one stream. The schema that was declared or, without one, the newest of the first batch in which
    there are values, says which columns there are, for all of the stream; values of other schemas are
    resolved to it.
    """

    registry: Registry
    kind: str
    read_as: Callable[[Schema, bytes], Reading]
    """The second is how the payload of the first such value begins: with the indexes of a Protobuf message"""
    declared: Schema | None = None
    counts: Counts = field(default_factory=Counts)
    _reading: Reading | None = None
    _programs: dict[int, Program] = field(default_factory=dict)
    _texts: dict[int, list[str]] = field(default_factory=dict)
    _headed: dict[tuple[UUID | None, int, bytes], int] = field(default_factory=dict)
    _failed: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.declared is not None:
            self._reading = self.read_as(self.declared, b"\0")

    @property
    def type(self) -> pa.DataType | None:
        return None if self._reading is None else self._reading.type

    def lacks(self, column: BinaryColumn, headers: HeadersColumn | None, part: Part) -> list[int | UUID]:
        """What the registry would have to be asked for to read these."""
        found: list[int | UUID] = list(IMPLEMENTATION.ids(column.raw, None)) if len(column) else []
        found += [each.guid or each.id for each in headed(headers, part)]
        return [each for each in dict.fromkeys(found) if self.registry.known(each) is None]

    def prepare(self, column: BinaryColumn, headers: HeadersColumn | None, part: Part) -> None:
        """Ask the registry for what is lacking, and wait."""
        missing = 0
        for each in self.lacks(column, headers, part):
            missing += self._schema(each) is None
            if missing >= _MAX_MISSING:
                break

    def decode(
        self, column: BinaryColumn, headers: HeadersColumn | None = None, part: Part = "value"
    ) -> Decoded:
        """Waits for the registry where it was not prepared."""
        if self._reading is None:  # what failed may yet be read, by what other values say
            self._failed.clear()
            self._headed.clear()
        assigned = self._assign(column, headers, part)
        numbers = IMPLEMENTATION.ids(column.raw, assigned)
        schemas: dict[int, Schema] = {}
        missing = 0
        for number in numbers:
            if number in self._programs or number in self._failed or missing >= _MAX_MISSING:
                continue
            found = self._schema(number)
            if found is None:
                missing += 1
            else:
                schemas[number] = found
        if self._reading is None:
            for number in sorted(schemas, reverse=True):
                self._begin(number, schemas[number], _payloads(column, number))
        for number, schema in schemas.items():
            self._learn(number, schema, None)
        return self._decoded(column, assigned)

    def _decoded(self, column: BinaryColumn, assigned: memoryview | None) -> Decoded:
        reading = self._reading
        layout, root = (_NOTHING_WORDS, _NOTHING) if reading is None else (reading.layout, reading.column)
        try:
            raw, bad = IMPLEMENTATION.decode(layout, self._programs, column.raw, assigned, _MAX_BYTES)
        except OverflowError as error:
            raise ValuesError(f"{len(column)} values at a time: {error}") from None
        rows = as_array(root, raw)
        broken = {each.row: self._explain(each) for each in map(Broken._make, bad)}
        self.counts.records += len(column)
        self.counts.broken += len(broken)
        self.counts.nulls += rows.null_count - len(broken) if reading is not None else 0
        return Decoded(rows, broken)

    def _explain(self, broken: Broken) -> str:
        return self._failed.get(broken.id) or explain(broken, self._texts)

    def _schema(self, schema_id: int | UUID) -> Schema | None:
        """None where the registry has none: that breaks its values, and nothing else."""
        try:
            found = self.registry.schema(schema_id)
        except RegistryError as error:
            if not error.is_missing:
                raise
            return None
        return found

    def _begin(self, number: int, schema: Schema, payloads: Iterable[bytes]) -> None:
        """With the first of `payloads` that says what is to be read: values may be broken."""
        if schema.kind != self.kind or self._reading is not None:
            return
        for payload in islice(payloads, _MAX_BEGINNINGS):
            try:
                self._reading = self.read_as(schema, payload)
            except ValuesError as error:
                self._failed[number] = str(error)
            else:
                self._failed.pop(number, None)
                _log.info("values are read as %s", self._reading.type)
                return

    def _learn(self, number: int, schema: Schema, indexes: bytes | None) -> None:
        if schema.kind != self.kind:
            self._failed[number] = f"the value's schema is of type {schema.kind}, not {self.kind}"
        elif self._reading is not None:
            try:
                self._programs[number], self._texts[number] = self._reading.program(schema, indexes)
            except ValuesError as error:
                self._failed[number] = str(error)

    def _assign(self, column: BinaryColumn, headers: HeadersColumn | None, part: Part) -> memoryview | None:
        """A number below 0 for each record whose header names its schema."""
        assigned: array[int] | None = None
        missing: dict[UUID | int, int] = {}
        for each in headed(headers, part):
            assigned = assigned or array("i", bytes(4 * len(column)))
            assigned[each.row] = self._number_of(each, missing)
        return None if assigned is None else memoryview(assigned)

    def _number_of(self, each: Headed, missing: dict[UUID | int, int]) -> int:
        """That of a schema that a header names. Those that are `missing` have theirs for a batch."""
        key = (each.guid, each.id, each.indexes if self.kind == "PROTOBUF" else b"")
        name = each.guid or each.id
        number = self._headed.get(key) or missing.get(name)
        if number is not None:
            return number
        schema = self._schema(name) if len(missing) < _MAX_MISSING else None
        if schema is None:
            number = _FIRST_MISSING - min(len(missing), _MAX_MISSING)
            missing[name] = number
            self._failed[number] = f"the registry has no schema {name}"
            if len(missing) > _MAX_MISSING:
                self._failed[number] = "the registry lacks too many schemas of this batch"
            return number
        number = self._headed[key] = -1 - len(self._headed)
        self._begin(number, schema, [key[2]])
        self._learn(number, schema, key[2])
        return number


def _payloads(column: BinaryColumn, schema_id: int) -> Iterator[bytes]:
    """Of values with this id in front."""
    framed = frame(schema_id)
    return (value[len(framed) :] for value in column if value is not None and value.startswith(framed))


def needs_topic(name: str) -> ValuesError:
    return ValuesError(f"{name} values are written for a topic: by write(...), or an encoder(topic, ...)")
