"""Decimal, Date, Time and Timestamp: in Python, and as the bytes and integers that they travel as."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Type,
    Value,
)
from ottla.connect.errors import DataError

__all__ = [
    "DATE",
    "EPOCH",
    "LOGICAL_TYPES",
    "MILLIS_PER_DAY",
    "SCALE",
    "TIME",
    "TIMESTAMP",
    "LogicalType",
    "bytes_to_integer",
    "date_from_days",
    "days_of_date",
    "decimal_from_bytes",
    "decimal_schema",
    "decimal_to_bytes",
    "integer_to_bytes",
    "millis_of_time",
    "millis_of_timestamp",
    "scale_of",
    "scale_of_value",
    "time_from_millis",
    "timestamp_from_millis",
    "unscaled",
]

SCALE: Final = "scale"
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLIS_PER_DAY: Final = 86_400_000
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_EPOCH_ORDINAL: Final = EPOCH.toordinal()

DATE: Final = Schema(Type.INT32, name=DATE_NAME, version=1)
TIME: Final = Schema(Type.INT32, name=TIME_NAME, version=1)
TIMESTAMP: Final = Schema(Type.INT64, name=TIMESTAMP_NAME, version=1)


def decimal_schema(scale: int, *, optional: bool = False) -> Schema:
    """The schema of decimals with `scale` digits behind the point."""
    return Schema(Type.BYTES, name=DECIMAL_NAME, version=1, parameters={SCALE: str(scale)}, optional=optional)


def scale_of(schema: Schema) -> int:
    """A Decimal's scale. Raises DataError where the schema does not say it."""
    text = (schema.parameters or {}).get(SCALE)
    if text is None:
        raise DataError("Invalid Decimal schema: scale parameter not found.")
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text) is None:
        raise DataError("Invalid scale parameter found in Decimal schema: ")
    return int(text)


def unscaled(value: Decimal) -> int:
    """All digits of a decimal as one integer."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise DataError(f"{value} is no number that a Decimal can be")
    return int(Decimal((sign, digits, 0)))


def scale_of_value(value: Decimal) -> int:
    """How many digits stand behind the point."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise DataError(f"{value} is no number that a Decimal can be")
    return -exponent


def integer_to_bytes(value: int) -> bytes:
    """Two's complement, big-endian, in as few bytes as it takes: Java's `BigInteger.toByteArray`."""
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def bytes_to_integer(data: bytes) -> int:
    """The integer of these bytes. Raises DataError where there are none."""
    if not data:
        raise DataError("Zero length BigInteger")
    return int.from_bytes(data, "big", signed=True)


def decimal_to_bytes(schema: Schema, value: Decimal) -> bytes:
    """Raises DataError where the value has another scale than its schema."""
    scale, own = scale_of(schema), scale_of_value(value)
    if own != scale:
        raise DataError(
            "Decimal value has mismatching scale for given Decimal schema. "
            f"Schema has scale {scale}, value has scale {own}."
        )
    return integer_to_bytes(unscaled(value))


def decimal_from_bytes(schema: Schema, data: bytes) -> Decimal:
    """The decimal that these bytes are, with the scale of its schema."""
    sign, digits, _ = Decimal(bytes_to_integer(data)).as_tuple()
    return Decimal((sign, digits, -scale_of(schema)))


def days_of_date(value: dt.date) -> int:
    """Days since 1970-01-01."""
    return value.toordinal() - _EPOCH_ORDINAL


def date_from_days(days: int) -> dt.date:
    """Raises DataError beyond the years 1 to 9999."""
    try:
        return dt.date.fromordinal(days + _EPOCH_ORDINAL)
    except (ValueError, OverflowError):
        raise DataError(f"{days} days since 1970 are no date of the years 1 to 9999") from None


def millis_of_time(value: dt.time) -> int:
    """Milliseconds since midnight; what is finer is cut off."""
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def time_from_millis(millis: int) -> dt.time:
    """Raises DataError outside of a day."""
    if not 0 <= millis < MILLIS_PER_DAY:
        raise DataError("Time values must use number of milliseconds greater than 0 and less than 86400000")
    return (EPOCH + dt.timedelta(milliseconds=millis)).time()


def millis_of_timestamp(value: dt.datetime) -> int:
    """Milliseconds since the epoch; what is finer is cut off."""
    return (value - EPOCH) // _MILLISECOND


def timestamp_from_millis(millis: int) -> dt.datetime:
    """Raises DataError beyond the years 1 to 9999."""
    try:
        return EPOCH + dt.timedelta(milliseconds=millis)
    except OverflowError:
        raise DataError(f"{millis} ms since 1970 are no time of the years 1 to 9999") from None


class LogicalType(NamedTuple):
    """How values of a logical type become those of the type beneath, and back. Both raise DataError."""

    to_base: Callable[[Schema, Value], Value]
    from_base: Callable[[Schema, Value], Value]


def _wrong(kind: str, value: Value) -> DataError:
    return DataError(f"{value!r} is no value of a {kind}")


def _decimal_down(schema: Schema, value: Value) -> bytes:
    if not isinstance(value, Decimal):
        raise _wrong("Decimal", value)
    return decimal_to_bytes(schema, value)


def _decimal_up(schema: Schema, value: Value) -> Decimal:
    if not isinstance(value, bytes):
        raise _wrong("Decimal's bytes", value)
    return decimal_from_bytes(schema, value)


def _date_down(_schema: Schema, value: Value) -> int:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise _wrong("Date", value)
    return days_of_date(value)


def _date_up(_schema: Schema, value: Value) -> dt.date:
    if not isinstance(value, int):
        raise _wrong("Date's days", value)
    return date_from_days(value)


def _time_down(_schema: Schema, value: Value) -> int:
    if not isinstance(value, dt.time):
        raise _wrong("Time", value)
    return millis_of_time(value)


def _time_up(_schema: Schema, value: Value) -> dt.time:
    if not isinstance(value, int):
        raise _wrong("Time's milliseconds", value)
    return time_from_millis(value)


def _timestamp_down(_schema: Schema, value: Value) -> int:
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise _wrong("Timestamp", value)
    return millis_of_timestamp(value)


def _timestamp_up(_schema: Schema, value: Value) -> dt.datetime:
    if not isinstance(value, int):
        raise _wrong("Timestamp's milliseconds", value)
    return timestamp_from_millis(value)


LOGICAL_TYPES: Final[Mapping[str, LogicalType]] = {
    DECIMAL_NAME: LogicalType(_decimal_down, _decimal_up),
    DATE_NAME: LogicalType(_date_down, _date_up),
    TIME_NAME: LogicalType(_time_down, _time_up),
    TIMESTAMP_NAME: LogicalType(_timestamp_down, _timestamp_up),
}
