"""JSON that comes in, as encoded keys and values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from ottla.cli.connection import CommandError
from ottla.cli.formats.interface import InputError, Rows, columns_of
from ottla.cli.values.options import PartOptions, ValueOptions, values_of
from ottla.client.columns.arrow import is_text
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.errors import ClientError
from ottla.client.schema_registry import SchemaRegistry
from ottla.client.values.factories import text
from ottla.client.values.framed import FramedDecoder, FramedEncoder, FramedValues
from ottla.client.values.framed_json.shapes import shape_of
from ottla.client.values.interface import Decoded, Decoder, ValuesError
from ottla.client.values.json import JsonDecoder
from ottla.client.values.json_plan import plan_of
from ottla.client.values.registry import (
    Part,
    Registry,
    RegistryError,
    Schema,
    subject_of,
)

__all__ = ["PartWriter", "writers_of", "written"]


class _RowError(ValueError):
    """What is wrong with one row."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row


@dataclass
class PartWriter:
    """Encodes keys or values for one topic.

    Without a declared schema it is the latest of the subject; where there is none, one is made of what comes
    first, and registered. Keys without a schema are text. `make` gives the format, to write the latest schema
    or not. `is_text`: the input has texts for all (CSV), which are cast.
    """

    topic: str
    part: Part
    make: Callable[[bool], FramedValues]
    registry: Registry
    schema: Schema | None
    is_text: bool = False
    finds_latest: bool = True
    _values: FramedValues | None = None
    _decoder: Decoder | None = None
    _target: pa.DataType | None = None
    _encoder: FramedEncoder | None = None

    def encode(self, column: BinaryColumn) -> tuple[BinaryColumn, tuple[bytes, bytes] | None]:
        """And the header that goes with each. Raises `_RowError`, or `ClientError` if no row is at fault."""
        values = self.values()
        decoded = self._read(column)
        if decoded.broken:
            row = min(decoded.broken)
            raise _RowError(row, decoded.broken[row])
        if pa.types.is_null(decoded.array.type):
            return column, None
        if self._encoder is None:
            self._encoder = values.encoder(self.topic, self.part, decoded.array.type)
        try:
            return self._encoder.encode(decoded.array), self._encoder.header
        except ValuesError:
            self._blame(decoded.array)
            raise

    def _blame(self, array: pa.Array) -> None:
        assert self._encoder is not None
        for row in range(len(array)):
            try:
                self._encoder.encode(array[row : row + 1])
            except ValuesError as error:
                raise _RowError(row, str(error)) from error

    def values(self) -> FramedValues:
        """The format, for columns as they are."""
        if self._values is None:
            self._begin()
        assert self._values is not None
        return self._values

    def _begin(self) -> None:
        """Find the schema, and what the input is read as."""
        schema = self.schema
        is_latest = False
        if schema is None and self.finds_latest:
            try:
                schema = self.registry.latest(subject_of("topic", self.topic, self.part, None)).schema
                is_latest = True
            except RegistryError as error:
                if not error.is_missing:
                    raise
        self._values = self.make(is_latest)
        decoder = self._values.decoder()
        if schema is not None:
            if schema.kind != decoder.kind:
                raise ValuesError(f"the subject's latest schema is of type {schema.kind}, not {decoder.kind}")
            self._target = self._type_of(schema, decoder)
        elif self.part == "key":
            self._target = pa.string()
        self._decoder = self._decoder_of(self._target)

    def _type_of(self, schema: Schema, decoder: FramedDecoder) -> pa.DataType:
        """JSON for a JSON Schema goes out as it was written."""
        if schema.kind != "JSON":
            return decoder.read_as(schema, b"\0").type
        found = shape_of(schema.text, schema.resolved).arrow
        return found if is_text(found) or (self.is_text and pa.types.is_struct(found)) else pa.json_()

    def _decoder_of(self, target: pa.DataType | None) -> Decoder:
        if target is None:
            return JsonDecoder(None)
        if is_text(target):
            return text().decoder()
        if self.is_text and pa.types.is_struct(target):
            return JsonDecoder(plan_of(pa.struct([(each.name, _in_text(each.type)) for each in target])))
        return JsonDecoder(plan_of(target))

    def _read(self, column: BinaryColumn) -> Decoded:
        assert self._decoder is not None
        decoded = self._decoder.decode(column)
        if not self.is_text or self._target is None or not pa.types.is_struct(self._target):
            return decoded
        return Decoded(_cast(decoded.array, self._target), decoded.broken)


def writers_of(
    topic: str, options: ValueOptions, registry: SchemaRegistry, *, is_text: bool
) -> list[PartWriter]:
    """Of the parts that the command line speaks of."""
    more = options.more
    common = {
        "register": not more["no_register"],
        "subjects": more["subjects"] or "topic",
        "ids": more["ids"] or "value",
        "validate": more["validate"],
    }
    return [
        PartWriter(
            topic,
            each.part,
            partial(_make, each, registry, common),
            registry,
            each.schema,
            is_text=is_text,
            finds_latest=common["subjects"] == "topic",
        )
        for each in options.parts
    ]


def _make(
    part: PartOptions, registry: SchemaRegistry, common: Mapping[str, object], is_latest: bool
) -> FramedValues:
    return values_of(part, registry, **common, **({"use_latest": True} if is_latest else {}))


def _in_text(kind: pa.DataType) -> pa.DataType:
    """What a cell of CSV is read as: of what has no text of its own, JSON."""
    return kind if pa.types.is_nested(kind) else pa.string()


def _cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    parts = []
    for index, each in enumerate(target):
        part = array.field(index)
        if part.type != each.type:
            part = _cast_cells(part, each)
        parts.append(part)
    if not parts:
        return array
    return pa.StructArray.from_arrays(parts, fields=list(target), mask=array.is_null())


def _cast_cells(part: pa.Array, wanted: pa.Field) -> pa.Array:
    try:
        return part.cast(wanted.type)
    except pa.ArrowException:
        pass
    for row in range(len(part)):
        try:
            part[row : row + 1].cast(wanted.type)
        except pa.ArrowException:
            raise _RowError(row, f"{wanted.name}: {part[row].as_py()!r} is no {wanted.type}") from None
    raise ValuesError(f"{wanted.name}: {wanted.type} is not read from CSV")


async def written(rows: AsyncIterator[Rows], writers: list[PartWriter]) -> AsyncIterator[Rows]:
    """`rows` with keys and values encoded, in a thread, as the registry is waited for. InputError says which
    row is wrong, after what was before it."""
    loop = asyncio.get_running_loop()
    async for each in rows:
        try:
            done = await loop.run_in_executor(None, _encoded, each, writers)
        except ClientError as error:
            raise CommandError(str(error)) from error
        yield done.rows
        if done.failure is not None:
            raise done.failure


@dataclass
class _Done:
    rows: Rows
    failure: InputError | None = field(default=None)


def _encoded(rows: Rows, writers: list[PartWriter]) -> _Done:
    try:
        return _Done(_with(rows, writers))
    except _RowError as error:
        failure = InputError(f"{rows.places.of(error.row)}: {error}")
        first = error.row
    before = rows._replace(
        columns=rows.columns[:first], partitions=None if rows.partitions is None else rows.partitions[:first]
    )
    done = _encoded(before, writers) if first else _Done(before)
    return done if done.failure is not None else _Done(done.rows, failure)


def _with(rows: Rows, writers: list[PartWriter]) -> Rows:
    columns = rows.columns
    parts: dict[Part, BinaryColumn] = {"key": columns.key, "value": columns.value}
    added = []
    for writer in writers:
        parts[writer.part], header = writer.encode(parts[writer.part])
        added += [] if header is None else [header]
    headers = columns.headers
    if added:
        headers = HeadersColumn.of([(*row, *added) for row in headers])
    made = columns_of(parts["key"], parts["value"], headers, columns.timestamp, columns.partition)
    return rows._replace(columns=made)
