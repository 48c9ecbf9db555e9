"""A value as another type, one record at a time: this is what CAST means.

Text is read as SQL writes values, with no space around; a double or a decimal becomes an integer towards
zero; what does not fit, or is no such value, is a ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final

from ottla.streams.expressions.operations import fits, without_sign_of_zero
from ottla.streams.expressions.types import Type, type_name

__all__ = ["caster"]

_Value = Any

_DOUBLE_TEXT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,76}(?:\.[0-9]{0,76})?|\.[0-9]{1,76})", re.ASCII)
_NAMED_DOUBLES: Final = {
    "nan": math.nan,
    "infinity": math.inf,
    "inf": math.inf,
    "-infinity": -math.inf,
    "-inf": -math.inf,
}
_WIDE: Final = Context(prec=80)


def caster(kind: Type) -> Callable[[_Value], _Value]:
    """What makes a value that is not null one of type `kind`."""
    if kind.name == "decimal":
        return lambda value: decimal_value(_as_decimal(value), kind)
    found = _CASTERS.get(kind.name)
    if found is None:
        raise ValueError(f"nothing is cast to {kind}")
    return found


def decimal_value(value: Decimal, kind: Type) -> Decimal:
    """`value` with as many digits behind the point as `kind` has, a half going to the even neighbour."""
    try:
        scaled = value.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_EVEN, _WIDE)
    except InvalidOperation:
        raise ValueError(f"{value} does not fit in {kind}") from None
    if len(scaled.as_tuple().digits) > kind.precision:
        raise ValueError(f"{value} does not fit in {kind}")
    return without_sign_of_zero(scaled)


def _as_decimal(value: _Value) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if type(value) in (int, float):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise _no(value, "decimal")


def _no(value: _Value, kind: str) -> ValueError:
    shown = repr(value)
    return ValueError(
        f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({type_name(value)}) is no {kind}"
    )


def _to_boolean(value: _Value) -> bool:
    if type(value) is bool:
        return value
    if type(value) is int:
        return value != 0
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _no(value, "boolean")


def _to_integer(value: _Value) -> int:
    if type(value) is int:
        return fits(value)
    if type(value) is bool:
        return int(value)
    if (type(value) is float and math.isfinite(value)) or isinstance(value, Decimal):
        return fits(int(value))
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return fits(int(value))
    raise _no(value, "integer")


def _to_double(value: _Value) -> float:
    if type(value) in (int, float, Decimal):
        return float(value)
    if isinstance(value, str):
        if _DOUBLE_TEXT.fullmatch(value):
            return float(value)
        named = _NAMED_DOUBLES.get(value.lower())
        if named is not None:
            return named
    raise _no(value, "double")


def _to_text(value: _Value) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in (int, float):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else _in_utc(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise _no(value, "text")


def _in_utc(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _to_bytes(value: _Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise _no(value, "bytes")


def _to_timestamp(value: _Value) -> datetime:
    read = _read_datetime(value, "timestamp")
    if read.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone: cast it to a local timestamp")
    return read.astimezone(UTC)


def _to_local_timestamp(value: _Value) -> datetime:
    read = _read_datetime(value, "local timestamp")
    if read.tzinfo is not None:
        raise ValueError(f"{value!r} has a time zone: cast it to a timestamp")
    return read


def _read_datetime(value: _Value, kind: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    raise _no(value, kind)


def _to_date(value: _Value) -> date:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise _no(value, "date")


def _to_time(value: _Value) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str):
        return time.fromisoformat(value)
    raise _no(value, "time")


_CASTERS: Final[dict[str, Callable[[_Value], _Value]]] = {
    "boolean": _to_boolean,
    "integer": _to_integer,
    "double": _to_double,
    "text": _to_text,
    "bytes": _to_bytes,
    "timestamp": _to_timestamp,
    "local timestamp": _to_local_timestamp,
    "date": _to_date,
    "time": _to_time,
}
