"""Schemas that have meanings by their names: `io.debezium.time.*`, `io.debezium.data.*`. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Final

from ottla.connect.data import (
    BYTES,
    FLOAT64,
    INT32,
    OPTIONAL_BYTES,
    OPTIONAL_INT32,
    Schema,
    Struct,
    Type,
    decimal_schema,
    struct_of,
)
from ottla.connect.data.logical import integer_to_bytes, scale_of_value, unscaled

__all__ = [
    "JSON",
    "POINT",
    "UUID",
    "VARIABLE_SCALE_DECIMAL",
    "bits",
    "decimal_of",
    "enumeration",
    "named",
    "point",
    "rescaled",
    "time_type",
    "variable_scale",
]

_DATA: Final = "io.debezium.data"
_EXACT: Final = Context(prec=150_000)
"""As many digits as a NUMERIC of PostgreSQL has"""


def named(kind: Type, name: str) -> Schema:
    """A schema of this name, version 1."""
    return Schema(kind, name=name, version=1)


def time_type(kind: Type, name: str) -> Schema:
    """Of `io.debezium.time`."""
    return named(kind, f"io.debezium.time.{name}")


JSON: Final = named(Type.STRING, f"{_DATA}.Json")
UUID: Final = named(Type.STRING, f"{_DATA}.Uuid")
VARIABLE_SCALE_DECIMAL: Final = struct_of(
    {"scale": INT32, "value": BYTES},
    name=f"{_DATA}.VariableScaleDecimal",
    version=1,
    doc="Variable scaled decimal",
)
POINT: Final = struct_of(
    {"x": FLOAT64, "y": FLOAT64, "wkb": OPTIONAL_BYTES, "srid": OPTIONAL_INT32},
    name=f"{_DATA}.geometry.Point",
    version=1,
    doc="Geometry (POINT)",
)


def enumeration(allowed: Iterable[str]) -> Schema:
    """One of these texts."""
    return named(Type.STRING, f"{_DATA}.Enum").replace(parameters={"allowed": ",".join(allowed)})


def bits(length: int) -> Schema:
    """That many bits, as bytes of which the first has the lowest."""
    return named(Type.BYTES, f"{_DATA}.Bits").replace(parameters={"length": str(length)})


def decimal_of(precision: int | None, scale: int) -> Schema:
    """A Decimal of Connect's, which says its precision as well where there is one."""
    schema = decimal_schema(scale)
    if precision is None:
        return schema
    parameters = {"scale": str(scale), "connect.decimal.precision": str(precision)}
    return schema.replace(parameters=parameters)


def rescaled(value: Decimal, scale: int) -> Decimal:
    """With so many digits behind the point, however many there are before it."""
    return value.quantize(Decimal((0, (1,), -scale)), context=_EXACT)


def variable_scale(schema: Schema, value: Decimal) -> Struct:
    """As few digits behind the point as it takes."""
    scale = scale_of_value(value)
    if scale > 0:
        value = value.normalize() if len(value.as_tuple().digits) <= 28 else _without_zeros(value)
        scale = scale_of_value(value)
    if scale < 0:
        value, scale = value.quantize(Decimal(1)) if scale > -28 else Decimal(int(value)), 0
    made = Struct(schema)
    made.values[:] = scale, integer_to_bytes(unscaled(value))
    return made


def _without_zeros(value: Decimal) -> Decimal:
    """`normalize` for more digits than its context has."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # `scale_of_value` has looked
    while len(digits) > 1 and digits[-1] == 0 and exponent < 0:
        digits, exponent = digits[:-1], exponent + 1
    return Decimal((sign, digits, exponent))


def point(schema: Schema, x: float, y: float) -> Struct:
    """With its well-known binary form."""
    made = Struct(schema)
    made.values[:] = x, y, struct.pack("<BIdd", 1, 1, x, y), None
    return made
