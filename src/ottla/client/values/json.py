"""JSON values as Arrow arrays and back: each record's value is parsed by itself, into a declared type.

msgspec decodes a value straight into what its field was said to be, skips what was not asked for, and keeps
integers exact; thousands of values then become arrays at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.client.values.interface import Counts, Decoded, Errors, ValuesError, check_errors
from ottla.client.values.json_plan import CONVERSION_ERRORS, Plan, plan_of
from ottla.client.values.json_schema import infer

__all__ = ["JsonDecoder", "JsonValues"]

_CHUNK: Final = 4096
"""Rows that are objects at one time: they stay in the processor's cache."""

_SAMPLE: Final = 10_000
"""Rows of the first batch from which a schema is inferred."""

_PARSE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JsonValues:
    """JSON of one `schema`: an Arrow type, a `pyarrow.Schema` for objects, or None to infer it.

    An inferred schema comes from the first batch in which there are values, is logged, and holds from then
    on: later fields are left out, and values of another type are broken. A declared schema also says what is
    wanted: fields that it lacks are not even decoded. Missing fields are null.

    Integers are exact: one that its type cannot hold makes the value broken. `pyarrow.json_()` takes any JSON
    as text, decimals take numbers and strings, timestamps ISO 8601 and counts of their unit, binary base64.
    """

    schema: pa.Schema | pa.DataType | None = None
    errors: Errors = "raise"

    def __post_init__(self) -> None:
        check_errors(self.errors)
        if isinstance(self.schema, pa.Schema):
            object.__setattr__(self, "schema", pa.struct(list(self.schema)))
        if self.schema is not None:
            if not isinstance(self.schema, pa.DataType):
                raise ValuesError(f"a schema is a pyarrow.Schema or a type, not {self.schema!r}")
            plan_of(self.schema)

    def decoder(self) -> JsonDecoder:
        return JsonDecoder(None if self.schema is None else plan_of(self.schema))

    def encode(self, array: pa.Array) -> BinaryColumn:
        """One line for each row: null fields are written as null, NaN and infinite numbers too, timestamps in
        ISO 8601, decimals as numbers, binary as base64."""
        plan = plan_of(array.type)
        encode = msgspec.json.Encoder(decimal_format="number").encode
        values: list[bytes | None] = []
        for start in range(0, len(array), _CHUNK):
            try:
                rows = plan.objects(array.slice(start, _CHUNK))
                values += [None if row is None else encode(row) for row in rows]
            except (TypeError, *CONVERSION_ERRORS) as error:
                raise ValuesError(f"{array.type} cannot be written as JSON: {error}") from None
        return BinaryColumn.of(values)


@dataclass(slots=True)
class JsonDecoder:
    """Decodes one stream's batches into the type of its plan."""

    plan: Plan | None
    counts: Counts = field(default_factory=Counts)

    @property
    def type(self) -> pa.DataType | None:
        return None if self.plan is None else self.plan.type

    def decode(self, column: BinaryColumn) -> Decoded:
        self.counts.records += len(column)
        broken: dict[int, str] = {}
        plan = self.plan or self._infer(column)
        chunks = []
        for start in range(0, len(column), _CHUNK):
            rows = IMPLEMENTATION.strings(column[start : start + _CHUNK].raw)
            if column.validity is not None:
                self.counts.nulls += sum(row is None for row in rows)
            chunks.append(_arrays(plan, _objects(plan, rows, start, broken), start, broken))
        self.counts.broken += len(broken)
        return Decoded(pa.concat_arrays(chunks) if chunks else pa.array([], plan.type), broken)

    def _infer(self, column: BinaryColumn) -> Plan:
        """The plan of what `column` holds. It is kept unless nothing but nulls and nonsense is there."""
        kind = infer(column[:_SAMPLE])
        plan = plan_of(kind)
        if not pa.types.is_null(kind):
            self.plan = plan
            _log.info("inferred schema of JSON values: %s", kind)
        return plan


def _objects(plan: Plan, rows: Sequence[bytes | None], start: int, broken: dict[int, str]) -> list[object]:
    """Each row decoded, None where it is null or broken."""
    decode = plan.decode
    with suppress(*_PARSE_ERRORS):
        return [None if row is None else decode(row) for row in rows]
    objects: list[object] = []
    for index, row in enumerate(rows, start):
        try:
            objects.append(None if row is None else decode(row))
        except _PARSE_ERRORS as error:
            broken[index] = str(error)
            objects.append(None)
    return objects


def _arrays(plan: Plan, objects: list[object], start: int, broken: dict[int, str]) -> pa.Array:
    """The array of `objects`. Where one does not fit, halves are tried until it stands alone."""
    try:
        return plan.array(objects)
    except CONVERSION_ERRORS as error:
        if len(objects) == 1:
            broken[start] = str(error)
            return pa.nulls(1, plan.type)
    half = len(objects) // 2
    return pa.concat_arrays(
        [
            _arrays(plan, objects[:half], start, broken),
            _arrays(plan, objects[half:], start + half, broken),
        ]
    )
