"""Connect's values as Arrow's columns, and back; needs pyarrow.

What is null in one is null in the other; names, versions and parameters of schemas stay behind in Arrow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol

import pyarrow as pa

from ottla.connect.data.logical import DATE, SCALE, TIME, TIMESTAMP, decimal_schema, scale_of
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    Value,
)
from ottla.connect.errors import DataError

__all__ = ["arrow_type", "column", "record_batch", "schema_of_type", "structs"]

_TYPES: Final = {
    Type.INT8: pa.int8(), Type.INT16: pa.int16(), Type.INT32: pa.int32(), Type.INT64: pa.int64(),
    Type.FLOAT32: pa.float32(), Type.FLOAT64: pa.float64(), Type.BOOLEAN: pa.bool_(),
    Type.STRING: pa.string(), Type.BYTES: pa.binary(),
}  # fmt: skip
_LOGICAL: Final = {
    DATE_NAME: pa.date32(),
    TIME_NAME: pa.time32("ms"),
    TIMESTAMP_NAME: pa.timestamp("ms", "UTC"),
}
_SCHEMAS: Final[Sequence[tuple[Callable[[pa.DataType], bool], Schema]]] = (
    (pa.types.is_int8, Schema(Type.INT8)),
    (pa.types.is_int16, Schema(Type.INT16)),
    (pa.types.is_uint8, Schema(Type.INT16)),
    (pa.types.is_int32, Schema(Type.INT32)),
    (pa.types.is_uint16, Schema(Type.INT32)),
    (pa.types.is_int64, Schema(Type.INT64)),
    (pa.types.is_uint32, Schema(Type.INT64)),
    (pa.types.is_uint64, decimal_schema(0)),
    (pa.types.is_float16, Schema(Type.FLOAT32)),
    (pa.types.is_float32, Schema(Type.FLOAT32)),
    (pa.types.is_float64, Schema(Type.FLOAT64)),
    (pa.types.is_boolean, Schema(Type.BOOLEAN)),
    (pa.types.is_string, Schema(Type.STRING)),
    (pa.types.is_large_string, Schema(Type.STRING)),
    (pa.types.is_string_view, Schema(Type.STRING)),
    (pa.types.is_null, Schema(Type.STRING)),
    (pa.types.is_binary, Schema(Type.BYTES)),
    (pa.types.is_large_binary, Schema(Type.BYTES)),
    (pa.types.is_fixed_size_binary, Schema(Type.BYTES)),
    (pa.types.is_date, DATE),
    (pa.types.is_time, TIME),
    (pa.types.is_timestamp, TIMESTAMP),
)


def arrow_type(schema: Schema) -> pa.DataType:
    """The type of columns of such values. Decimals have 38 digits, zeros of a negative scale included.

    Raises DataError for nulls only.
    """
    if schema.name == DECIMAL_NAME:
        return pa.decimal128(38, scale_of(schema))
    if schema.name in _LOGICAL:
        return _LOGICAL[schema.name or ""]
    if schema.type in _TYPES:
        return _TYPES[schema.type]
    if schema.type is Type.STRUCT:
        return pa.struct(_fields(schema))
    value = schema.value_schema
    key = schema.key_schema if schema.type is Type.MAP else None
    if value is None or (schema.type is Type.MAP and key is None):
        raise DataError(f"{schema} says nothing of what is in it")
    if key is None:
        return pa.list_(pa.field("item", arrow_type(value), nullable=value.optional))
    return pa.map_(arrow_type(key), pa.field("value", arrow_type(value), nullable=value.optional))


def _fields(schema: Schema) -> list[pa.Field]:
    return [
        pa.field(field.name, arrow_type(field.schema), nullable=field.schema.optional)
        for field in schema.fields
    ]


def column(schema: Schema, values: Sequence[Value]) -> pa.Array:
    """The values as a column. Raises DataError for what is none of the schema, or of too many digits."""
    try:
        return pa.array([_to_arrow(value) for value in values], arrow_type(schema))
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"what is no column of {schema}: {error}") from None


def _to_arrow(value: Value) -> Value:
    if isinstance(value, Struct):
        return {field.name: _to_arrow(value[field.name]) for field in value.schema.fields}
    if isinstance(value, list):
        return [_to_arrow(one) for one in value]
    if isinstance(value, dict):
        return [(_to_arrow(key), _to_arrow(inner)) for key, inner in value.items()]
    if isinstance(value, dt.datetime | dt.time):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


class _Record(Protocol):
    value_schema: Schema | None
    value: Value


def record_batch(records: Sequence[_Record]) -> pa.RecordBatch:
    """A column for each field of the records.s values, all structs of one schema. Raises DataError."""
    schema = records[0].value_schema if records else None
    if schema is None or schema.type is not Type.STRUCT:
        raise DataError(f"columns are made of structs, not of {schema or 'values without a schema'}")
    rows = [record.value for record in records]
    if not all(isinstance(row, Struct) and row.schema == schema for row in rows):
        raise DataError(f"a value that is no struct of {schema}")
    structs = [row for row in rows if isinstance(row, Struct)]
    columns = [column(field.schema, [struct[field.name] for struct in structs]) for field in schema.fields]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(_fields(schema)))


def schema_of_type(kind: pa.DataType, *, optional: bool = True) -> Schema:
    """The schema of a column's values. Raises DataError for a type that Connect has no schema for."""
    if pa.types.is_dictionary(kind):
        return schema_of_type(kind.value_type, optional=optional)
    if pa.types.is_decimal(kind):
        return decimal_schema(kind.scale, optional=optional)
    if pa.types.is_struct(kind):
        fields = [(field.name, schema_of_type(field.type, optional=field.nullable)) for field in kind]
        return Schema(Type.STRUCT, optional=optional, fields=fields)
    if pa.types.is_map(kind):
        keys = schema_of_type(kind.key_type, optional=False)
        items = schema_of_type(kind.item_type, optional=kind.item_field.nullable)
        return Schema(Type.MAP, optional=optional, key_schema=keys, value_schema=items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = schema_of_type(kind.value_type, optional=kind.value_field.nullable)
        return Schema(Type.ARRAY, optional=optional, value_schema=element)
    for is_kind, schema in _SCHEMAS:
        if is_kind(kind):
            return schema.replace(optional=optional)
    raise DataError(f"Connect has no schema for Arrow's {kind}")


def structs(batch: pa.RecordBatch | pa.Table, *, name: str | None = None) -> list[SchemaAndValue]:
    """The rows as structs, of a schema that is the same object for all. Raises DataError."""
    fields = [(field.name, schema_of_type(field.type, optional=field.nullable)) for field in batch.schema]
    schema = Schema(Type.STRUCT, name=name, fields=fields)
    columns = [
        [_from_arrow(of, one) for one in values.to_pylist()]
        for (_, of), values in zip(fields, batch.columns, strict=True)
    ]
    rows = []
    for number in range(batch.num_rows):
        struct = Struct(schema)
        struct.values[:] = [values[number] for values in columns]
        rows.append(SchemaAndValue(schema, struct))
    return rows


def _from_arrow(schema: Schema, value: Value) -> Value:
    if value is None:
        return None
    if schema.type is Type.STRUCT and isinstance(value, dict):
        struct = Struct(schema)
        struct.values[:] = [_from_arrow(field.schema, value[field.name]) for field in schema.fields]
        return struct
    if schema.type is Type.MAP and isinstance(value, list) and schema.key_schema and schema.value_schema:
        keys, items = schema.key_schema, schema.value_schema
        return {_from_arrow(keys, key): _from_arrow(items, one) for key, one in value}
    if schema.type is Type.ARRAY and isinstance(value, list) and schema.value_schema:
        element = schema.value_schema
        return [_from_arrow(element, one) for one in value]
    if schema.parameters is not None and SCALE in schema.parameters and isinstance(value, int):
        return Decimal(value)  # of an uint64
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    return value
