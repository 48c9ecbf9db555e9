"""The Arrow type of JSON values that nobody declared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa

from ottla.client.values.interface import ValuesError

__all__ = ["infer"]

_MAX_DEPTH: Final = 32
"""What lies deeper is kept as JSON text."""

_MAX_FIELDS: Final = 1000


@dataclass(slots=True)
class _Seen:
    """What was seen in one place. The first kind that is not null stays; integers widen to floats."""

    kind: str = "null"
    low: int = 0
    high: int = 0
    fields: dict[str, _Seen] = field(default_factory=dict)
    item: _Seen | None = None


def infer(values: Iterable[bytes | None]) -> pa.DataType:
    """The type of `values`: null where none of them is JSON other than null.

    Numbers are int64, uint64 or decimals where they are larger, float64 where some have a fraction; text
    stays text. A value that contradicts earlier ones in a place does not change what that place holds.
    """
    seen = _Seen()
    decode = msgspec.json.Decoder().decode
    for value in values:
        if value is not None:
            try:
                parsed = decode(value)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            _see(seen, parsed, _MAX_DEPTH)
    return _type_of(seen)


def _see(seen: _Seen, value: object, depth: int) -> None:
    if value is None:
        return
    kind = type(value).__name__ if depth or not isinstance(value, (list, dict)) else "json"
    if seen.kind == "null":
        seen.kind = kind
    elif seen.kind == "int" and kind == "float":
        seen.kind = "float"
    elif seen.kind != kind:
        return
    match value:
        case bool():
            pass
        case int():
            seen.low, seen.high = min(seen.low, value), max(seen.high, value)
        case list() if depth:
            seen.item = seen.item or _Seen()
            for each in value:
                _see(seen.item, each, depth - 1)
        case dict() if depth:
            for name, each in value.items():
                if len(seen.fields) == _MAX_FIELDS and name not in seen.fields:
                    raise ValuesError(
                        f"objects of more than {_MAX_FIELDS} fields: declare a schema, or a map"
                    )
                _see(seen.fields.setdefault(name, _Seen()), each, depth - 1)


def _type_of(seen: _Seen) -> pa.DataType:
    match seen.kind:
        case "bool":
            return pa.bool_()
        case "int":
            return _integer(seen.low, seen.high)
        case "float":
            return pa.float64()
        case "str":
            return pa.string()
        case "list":
            return pa.list_(_type_of(seen.item or _Seen()))
        case "dict":
            return pa.struct([pa.field(name, _type_of(each)) for name, each in seen.fields.items()])
        case "json":
            return pa.json_()
    return pa.null()


def _integer(low: int, high: int) -> pa.DataType:
    if low >= -(1 << 63) and high < 1 << 63:
        return pa.int64()
    if low >= 0 and high < 1 << 64:
        return pa.uint64()
    digits = len(str(max(-low, high)))
    if digits <= 38:
        return pa.decimal128(38)
    return pa.decimal256(76) if digits <= 76 else pa.json_()
