"""What values of PostgreSQL's types become, by the connector's modes. Pure.

Values come as the texts that PostgreSQL writes, in a stream as in a snapshot.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from ottla.cdc.postgres import literals, times
from ottla.cdc.semantic import (
    JSON,
    POINT,
    UUID,
    VARIABLE_SCALE_DECIMAL,
    bits,
    decimal_of,
    enumeration,
    named,
    point,
    rescaled,
    time_type,
    variable_scale,
)
from ottla.cdc.tables import Conversion
from ottla.connect.data import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    Type,
    Value,
    array_of,
    map_of,
)
from ottla.connect.data.logical import date_from_days, scale_of, time_from_millis, timestamp_from_millis

__all__ = ["Modes", "TypeInfo", "conversion", "numeric_scale"]


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """A row of pg_type, its domain followed to what it is of."""

    oid: int
    name: str
    kind: str = "b"
    """b, c, d, e, m, p, r: as `typtype` has it"""
    labels: Sequence[str] = ()
    """Of an enumeration"""
    element: TypeInfo | None = None
    """Of an array"""
    modifier: int | None = None
    """A domain's"""

    def modifier_of(self, column: int) -> int:
        """A domain's goes before that of the column, -1 for none."""
        return column if self.modifier is None else self.modifier


@dataclass(frozen=True, slots=True)
class Modes:
    """The settings that say what values become."""

    decimal: str = "precise"
    time: str = "adaptive"
    binary: str = "bytes"
    interval: str = "numeric"
    hstore: str = "json"
    money_digits: int = 2
    unknown: bool = False
    unavailable: str = "__debezium_unavailable_value"


Decode = Callable[[bytes], Value]
_HEADER: Final = 4  # of a length, in modifiers
_UNBOUNDED: Final = 2**31 - 1


def conversion(info: TypeInfo, modifier: int, modes: Modes) -> Conversion | None:
    """None for a type that events leave out. `modifier` is the column's (-1 for none)."""
    modifier = info.modifier_of(modifier)
    found = _conversion(info, modifier, modes)
    if found is None:
        return None
    zero = _zero(info, modifier, found)
    unavailable = _unavailable(info, found, modes)
    bind = _STRUCTS.get(found[0].name or "")
    return Conversion(
        *found, zero, zero if unavailable is None else unavailable, None if bind is None else _bound(bind)
    )


_STRUCTS: Final[Mapping[str, Callable[[Schema, bytes], Value]]] = {
    POINT.name or "": lambda schema, text: point(schema, *literals.point_of(text)),
    VARIABLE_SCALE_DECIMAL.name or "": lambda schema, text: variable_scale(schema, _decimal(text)),
}


def _bound(make: Callable[[Schema, bytes], Value]) -> Callable[[Schema], tuple[Decode, Value]]:
    zero = b"(0,0)" if make is _STRUCTS[POINT.name or ""] else b"0"
    return lambda schema: (partial(make, schema), make(schema, zero))


def _unavailable(info: TypeInfo, found: tuple[Schema, Decode], modes: Modes) -> Value:
    """In place of a value that was not sent, as only those of variable lengths are stored apart; None for
    none that would be told from a real one.
    """
    text, (schema, _) = modes.unavailable, found
    if info.name == "bytea":
        return _binary_form(modes)[1](text.encode())
    if schema.type is Type.STRING:
        return text
    if schema.type is Type.MAP:
        return {text: text}
    element = info.element
    if element is None or schema.value_schema is None:
        return None
    if element.name == "uuid":
        return [str(uuid.UUID(bytes=hashlib.md5(text.encode()).digest(), version=3))]  # noqa: S324 - a name
    if element.name in ("int4", "int8"):
        return list(text.encode())
    inner = _unavailable(element, (schema.value_schema, found[1]), modes)
    return [] if inner is None else [inner]


_ZEROS: Final[Mapping[str, bytes]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid", "float4", "float8", "numeric", "money"), b"0"),
    "bool": b"f",
    "bytea": b"\\x",
    "date": b"1970-01-01",
    "time": b"00:00:00",
    "timestamp": b"1970-01-01 00:00:00",
    "timetz": b"00:00:00+00",
    "interval": b"00:00:00",
    "point": b"(0,0)",
    "bit": b"0",
    "varbit": b"0",
}


def _zero(info: TypeInfo, modifier: int, found: tuple[Schema, Decode]) -> Value:
    """In place of null where that is not allowed."""
    if info.element is not None:
        return []
    if info.name == "timestamptz":
        return "1970-01-01T00:00:00Z"
    if info.name == "numeric" and modifier >= _HEADER and found[0].type is Type.BYTES:
        return Decimal(0).scaleb(-scale_of(found[0]))
    return found[1](_ZEROS.get(info.name, b""))


def _conversion(info: TypeInfo, modifier: int, modes: Modes) -> tuple[Schema, Decode] | None:
    if info.kind == "e":
        return enumeration(info.labels), bytes.decode
    if info.element is not None:
        return _array(info.element, modifier, modes)
    plain = _PLAIN.get(info.name)
    if plain is not None:
        return plain
    made = _BY_MODE.get(info.name)
    if made is not None:
        return made(modifier, modes)
    return _unknown(modes) if modes.unknown else None


def _unknown(modes: Modes) -> tuple[Schema, Decode]:
    schema, encode = _binary_form(modes)
    return schema, lambda text: encode(bytes(text))


_LEFT_OUT: Final = frozenset(("money", "name", "interval", "varbit", "bit", "xml", "point", "refcursor"))
"""Types whose arrays Debezium leaves out"""


def _array(element: TypeInfo, modifier: int, modes: Modes) -> tuple[Schema, Decode] | None:
    if element.name in _LEFT_OUT:
        return None
    inner = _conversion(element, modifier, modes)
    if inner is None:
        return None
    schema, decode = inner
    if element.kind != "e":
        schema = schema.replace(optional=True)
    make = _STRUCTS.get(schema.name or "")
    if make is not None:
        decode = partial(make, schema)
    delimiter = b";" if element.name == "box" else b","

    def elements(text: bytes) -> Value:
        found = literals.array_elements(text, delimiter)
        return [None if each is None else decode(each) for each in found]

    return array_of(schema), elements


def _boolean(text: bytes) -> Value:
    return text == b"t"


def _xml() -> Schema:
    return named(Type.STRING, "io.debezium.data.Xml")


_TEXT: Final[tuple[Schema, Decode]] = (STRING, bytes.decode)
_PLAIN: Final[Mapping[str, tuple[Schema, Decode]]] = {
    "int2": (INT16, int),
    "int4": (INT32, int),
    "int8": (INT64, int),
    "oid": (INT64, int),
    "float4": (FLOAT32, float),
    "float8": (FLOAT64, float),
    "bool": (BOOLEAN, _boolean),
    **dict.fromkeys(
        (
            "text", "varchar", "bpchar", "char", "name", "citext", "isbn",
            "inet", "cidr", "macaddr", "macaddr8",
            "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange",
        ),
        _TEXT,
    ),
    "json": (JSON, bytes.decode),
    "jsonb": (JSON, bytes.decode),
    "uuid": (UUID, bytes.decode),
    "xml": (_xml(), bytes.decode),
    "ltree": (named(Type.STRING, "io.debezium.data.Ltree"), bytes.decode),
    "tsvector": (named(Type.STRING, "io.debezium.data.Tsvector"), bytes.decode),
    "point": (POINT, lambda text: point(POINT, *literals.point_of(text))),
    "timetz": (time_type(Type.STRING, "ZonedTime"), times.zoned_time_iso),
}  # fmt: skip


def _numeric(modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    if modes.decimal == "string":
        return _TEXT
    if modes.decimal == "double":
        return FLOAT64, float
    if modifier < _HEADER:
        return VARIABLE_SCALE_DECIMAL, partial(
            _STRUCTS[VARIABLE_SCALE_DECIMAL.name or ""], VARIABLE_SCALE_DECIMAL
        )
    scale = numeric_scale(modifier)
    schema = decimal_of((modifier - _HEADER) >> 16 & 0xFFFF, scale)
    if scale < 0:  # whose texts have zeros in place of what is cut off
        return schema, lambda text: rescaled(_decimal(text), scale)
    return schema, _decimal


def numeric_scale(modifier: int) -> int:
    """Of NUMERIC; below zero from PostgreSQL 15 on, and 0 where it is not said."""
    scale = (modifier - _HEADER) & 0x7FF if modifier >= _HEADER else 0
    return scale - 0x800 if scale >= 0x400 else scale


def _decimal(text: bytes) -> Decimal:
    value = Decimal(text.decode())
    if not value.is_finite():
        raise ValueError(f"{value} is no Decimal; decimal.handling.mode string or double takes it")
    return value


def _money(_modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    if modes.decimal == "string":
        return STRING, lambda text: str(literals.money_of(text))
    if modes.decimal == "double":
        return FLOAT64, lambda text: float(literals.money_of(text))
    digits = modes.money_digits
    return decimal_of(None, digits), lambda text: rescaled(literals.money_of(text), digits)


def _bit(modifier: int, _modes: Modes) -> tuple[Schema, Decode]:
    length = _UNBOUNDED if modifier < 0 else modifier
    if length == 1:
        return BOOLEAN, lambda text: text == b"1"
    return bits(length), literals.bits_of


def _binary_form(modes: Modes) -> tuple[Schema, Decode]:
    """Of bytes that are there as such."""
    if modes.binary == "bytes":
        return BYTES, bytes
    if modes.binary == "hex":
        return STRING, bytes.hex
    encode = base64.urlsafe_b64encode if modes.binary == "base64-url-safe" else base64.b64encode
    return STRING, lambda data: encode(data).decode()


def _bytea(_modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    schema, encode = _binary_form(modes)

    def decode(text: bytes) -> Value:
        if not text.startswith(b"\\x"):
            raise ValueError("bytea_output is not hex")
        return encode(bytes.fromhex(text[2:].decode()))

    return schema, decode


def _hstore(_modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    if modes.hstore == "map":
        return map_of(STRING, OPTIONAL_STRING), literals.hstore_of
    return JSON, lambda text: json.dumps(literals.hstore_of(text), ensure_ascii=False, separators=(",", ":"))


def _interval(_modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    if modes.interval == "string":
        return time_type(Type.STRING, "Interval"), lambda text: times.interval_of(text).iso()
    return time_type(Type.INT64, "MicroDuration"), lambda text: times.interval_of(text).micros()


def _date(_modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    if modes.time == "connect":
        return DATE, lambda text: date_from_days(times.date_days(text))
    if modes.time == "isostring":
        return time_type(Type.STRING, "IsoDate"), times.date_iso
    return time_type(Type.INT32, "Date"), times.date_days


def _connect_time(text: bytes) -> dt.time:
    return time_from_millis(times.time_micros(text) // 1000)


def _connect_timestamp(text: bytes) -> dt.datetime:
    return timestamp_from_millis(times.timestamp_micros(text) // 1000)


def _time(modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    mode = modes.time
    if mode == "connect":
        return TIME, _connect_time
    if mode == "isostring":
        return time_type(Type.STRING, "IsoTime"), times.time_iso
    if mode == "nanoseconds":
        return time_type(Type.INT64, "NanoTime"), lambda text: times.time_micros(text) * 1000
    if mode == "adaptive" and 0 <= modifier <= 3:
        return time_type(Type.INT32, "Time"), lambda text: times.time_micros(text) // 1000
    return time_type(Type.INT64, "MicroTime"), times.time_micros


def _timestamp(modifier: int, modes: Modes) -> tuple[Schema, Decode]:
    mode = modes.time
    if mode == "connect":
        return TIMESTAMP, _connect_timestamp
    if mode == "isostring":
        return time_type(Type.STRING, "IsoTimestamp"), times.timestamp_iso
    if mode == "nanoseconds":
        return time_type(Type.INT64, "NanoTimestamp"), _nanos
    if mode != "microseconds" and 0 <= modifier <= 3:
        return time_type(Type.INT64, "Timestamp"), lambda text: times.timestamp_micros(text) // 1000
    return time_type(Type.INT64, "MicroTimestamp"), times.timestamp_micros


def _nanos(text: bytes) -> int:
    nanos = times.timestamp_micros(text) * 1000
    if not -(2**63) <= nanos < 2**63:
        raise ValueError(f"{text.decode()} is beyond what 64 bits of nanoseconds reach")
    return nanos


def _timestamptz(modifier: int, _modes: Modes) -> tuple[Schema, Decode]:
    digits = 6 if modifier < 0 else modifier
    schema = time_type(Type.STRING, "ZonedTimestamp")
    return schema, lambda text: times.zoned_timestamp_iso(text, digits)


_BY_MODE: Final[Mapping[str, Callable[[int, Modes], tuple[Schema, Decode]]]] = {
    "numeric": _numeric,
    "money": _money,
    "bit": _bit,
    "varbit": _bit,
    "bytea": _bytea,
    "hstore": _hstore,
    "interval": _interval,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
}
