"""Values whose schema a registry has: what Avro, Protobuf and JSON Schema do alike."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
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
    def program(self, schema: Schema) -> tuple[Program, list[str]]:
        """Reads values of `schema`; and the texts of what fails in it. ValuesError where there is no such
        program."""


class Writing(Protocol):
    """How rows of one type are written."""

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
        return HEADERS[self.part], header_of(self.registered.guid)

    def encode(self, rows: pa.Array) -> BinaryColumn:
        if pa.types.is_null(rows.type):
            return BinaryColumn.of([None] * len(rows))
        prefix = frame(self.registered.id) if self.header is None else b""
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
    read_as: Callable[[Schema], Reading]
    declared: Schema | None = None
    counts: Counts = field(default_factory=Counts)
    _reading: Reading | None = None
    _programs: dict[int, Program] = field(default_factory=dict)
    _texts: dict[int, list[str]] = field(default_factory=dict)
    _headed: dict[int | UUID, int] = field(default_factory=dict)
    _failed: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.declared is not None:
            self._reading = self.read_as(self.declared)

    @property
    def type(self) -> pa.DataType | None:
        return None if self._reading is None else self._reading.type

    def lacks(self, column: BinaryColumn, headers: HeadersColumn | None, part: Part) -> list[int | UUID]:
        """What the registry would have to be asked for to read these."""
        found: list[int | UUID] = list(IMPLEMENTATION.ids(column.raw, None)) if len(column) else []
        found += [each.schema_id for each in headed(headers, part)]
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
                self._begin(schemas[number])
        for number, schema in schemas.items():
            self._learn(number, schema)
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
            return self.registry.schema(schema_id)
        except RegistryError as error:
            if not error.is_missing:
                raise
            return None

    def _begin(self, schema: Schema) -> None:
        if schema.kind != self.kind or self._reading is not None:
            return
        self._reading = self.read_as(schema)
        _log.info("values are read as %s", self._reading.type)

    def _learn(self, number: int, schema: Schema) -> None:
        if schema.kind != self.kind:
            self._failed[number] = f"the value's schema is of type {schema.kind}, not {self.kind}"
        elif self._reading is not None:
            try:
                self._programs[number], self._texts[number] = self._reading.program(schema)
            except ValuesError as error:
                self._failed[number] = str(error)

    def _assign(self, column: BinaryColumn, headers: HeadersColumn | None, part: Part) -> memoryview | None:
        """A number below 0 for each record whose header names its schema."""
        assigned: array[int] | None = None
        missing: dict[int | UUID, int] = {}
        for each in headed(headers, part):
            assigned = assigned or array("i", bytes(4 * len(column)))
            assigned[each.row] = self._number_of(each.schema_id, missing)
        return None if assigned is None else memoryview(assigned)

    def _number_of(self, schema_id: int | UUID, missing: dict[int | UUID, int]) -> int:
        """That of a schema that a header names. Those that are `missing` have theirs for a batch."""
        number = self._headed.get(schema_id) or missing.get(schema_id)
        if number is not None:
            return number
        schema = self._schema(schema_id) if len(missing) < _MAX_MISSING else None
        if schema is None:
            number = _FIRST_MISSING - min(len(missing), _MAX_MISSING)
            missing[schema_id] = number
            self._failed[number] = f"the registry has no schema {schema_id}"
            if len(missing) > _MAX_MISSING:
                self._failed[number] = "the registry lacks too many schemas of this batch"
            return number
        number = self._headed[schema_id] = -1 - len(self._headed)
        self._begin(schema)
        self._learn(number, schema)
        return number


def needs_topic(name: str) -> ValuesError:
    return ValuesError(f"{name} values are written for a topic: by write(...), or an encoder(topic, ...)")
