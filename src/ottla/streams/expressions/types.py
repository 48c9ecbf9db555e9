"""The types that expressions have: SQL's, a small closed set, whatever a value comes from.

Integers of every width are INTEGER (64 bits), floats DOUBLE, timestamps have microseconds. Nothing here needs
pyarrow; `arrow.py` says what each is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError, nearest

__all__ = [
    "ANY",
    "BOOLEAN",
    "BYTES",
    "DATE",
    "DOUBLE",
    "DURATION",
    "INTEGER",
    "LOCAL_TIMESTAMP",
    "MAX_DIGITS",
    "MAX_INTEGER",
    "MIN_INTEGER",
    "NULL",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "Type",
    "common_type",
    "list_of",
    "parse_type",
    "struct_of",
    "type_name",
    "type_of",
]

MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1
MAX_DIGITS: Final = 38


@dataclass(frozen=True, slots=True)
class Type:
    """A type, by its name: `precision` and `scale` are decimal's, `item` a list's, `fields` a struct's."""

    name: str
    precision: int = 0
    scale: int = 0
    item: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.precision}, {self.scale})"
        if self.name == "list":
            return f"list<{self.item}>"
        if self.name == "struct":
            return f"struct<{', '.join(f'{name} {each}' for name, each in self.fields)}>"
        return self.name

    @property
    def is_number(self) -> bool:
        return self.name in _NUMBERS

    def field(self, name: str) -> Type | None:
        """The type of a struct's field; None where there is no such field."""
        for each, kind in self.fields:
            if each == name:
                return kind
        return None


ANY: Final = Type("any")
"""Not known before there are values: what columns are without a schema."""
NULL: Final = Type("null")
BOOLEAN: Final = Type("boolean")
INTEGER: Final = Type("integer")
DOUBLE: Final = Type("double")
TEXT: Final = Type("text")
BYTES: Final = Type("bytes")
TIMESTAMP: Final = Type("timestamp")
"""A point in time: an aware datetime, shown in UTC."""
LOCAL_TIMESTAMP: Final = Type("local timestamp")
"""A date and a time of day nobody knows the zone of: a naive datetime."""
DATE: Final = Type("date")
TIME: Final = Type("time")
DURATION: Final = Type("duration")

_NUMBERS: Final = frozenset({"integer", "double", "decimal"})


def decimal_of(precision: int, scale: int) -> Type:
    """A decimal of at most 38 digits. ExpressionError for more, or more behind the point than there are."""
    if not 1 <= precision <= MAX_DIGITS or not 0 <= scale <= precision:
        raise ExpressionError(f"decimal({precision}, {scale}): a decimal has 1 to {MAX_DIGITS} digits")
    return Type("decimal", precision, scale)


def list_of(item: Type) -> Type:
    return Type("list", item=item)


def struct_of(*fields: tuple[str, Type]) -> Type:
    return Type("struct", fields=fields)


_NAMED: Final = {
    "boolean": BOOLEAN,
    "bool": BOOLEAN,
    "integer": INTEGER,
    "int": INTEGER,
    "bigint": INTEGER,
    "int64": INTEGER,
    "double": DOUBLE,
    "float": DOUBLE,
    "float64": DOUBLE,
    "text": TEXT,
    "string": TEXT,
    "varchar": TEXT,
    "bytes": BYTES,
    "timestamp": TIMESTAMP,
    "local timestamp": LOCAL_TIMESTAMP,
    "date": DATE,
    "time": TIME,
    "duration": DURATION,
}
_DECIMAL: Final = re.compile(r"decimal\(\s*(\d{1,9})\s*(?:,\s*(\d{1,9})\s*)?\)")


def parse_type(text: str) -> Type:
    """The type that `text` names, as `cast` takes it: "integer", "decimal(10, 2)"."""
    name = text.strip().lower()
    found = _NAMED.get(name)
    if found is not None:
        return found
    matched = _DECIMAL.fullmatch(name)
    if matched is None:
        raise ExpressionError(f"there is no type {text!r}{nearest(name, _NAMED)}")
    return decimal_of(int(matched[1]), int(matched[2] or 0))


_OF_CLASS: Final[dict[type, Type]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: INTEGER,
    float: DOUBLE,
    str: TEXT,
    bytes: BYTES,
    date: DATE,
    time: TIME,
    timedelta: DURATION,
}


def type_of(value: object) -> Type:
    """The type of a Python value. ExpressionTypeError where expressions have none for it."""
    found = _OF_CLASS.get(type(value))
    if found is not None:
        return found
    if isinstance(value, datetime):
        return LOCAL_TIMESTAMP if value.tzinfo is None else TIMESTAMP
    if isinstance(value, Decimal):
        return _decimal_of(value)
    if isinstance(value, (list, tuple)):
        item = NULL
        for each in value:
            item = common_type(item, type_of(each)) or ANY
        return list_of(item)
    if isinstance(value, dict):
        return struct_of(*((str(name), type_of(each)) for name, each in value.items()))
    raise ExpressionTypeError(f"expressions know no values of {type(value).__name__}")


def _decimal_of(value: Decimal) -> Type:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ExpressionTypeError(f"the decimal {value} is no number")
    scale = max(0, -exponent)
    precision = max(len(digits) + max(0, exponent), scale, 1)
    return Type("decimal", min(precision, MAX_DIGITS), min(scale, MAX_DIGITS))


def type_name(value: object) -> str:
    """What a message calls the type of `value`."""
    try:
        return type_of(value).name
    except ExpressionTypeError:
        return type(value).__name__


def common_type(left: Type, right: Type) -> Type | None:
    """What values of both become where they meet; None where they do not."""
    if left == right or right == NULL:
        return left
    if left == NULL:
        return right
    if ANY in (left, right):
        return ANY
    if left.is_number and right.is_number:
        if DOUBLE in (left, right):
            return DOUBLE
        left, right = _as_decimal(left), _as_decimal(right)
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return Type("decimal", min(whole + scale, MAX_DIGITS), scale)
    if left.item is not None and right.item is not None:
        item = common_type(left.item, right.item)
        return None if item is None else list_of(item)
    return None


def _as_decimal(kind: Type) -> Type:
    return Type("decimal", 19, 0) if kind == INTEGER else kind
