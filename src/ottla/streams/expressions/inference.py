"""What type an expression has over records of a schema, before there is a record.

`bind` checks names and types and gives back a tree in which what is implied stands: where an integer and a
double meet in one CASE or COALESCE, a cast to double. Without a schema columns are of type ANY, which every
function takes; then each value is judged when it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError, UnknownColumnError, nearest
from ottla.streams.expressions.nodes import (
    Call,
    Case,
    Cast,
    Column,
    Expression,
    Header,
    Literal,
    Metadata,
    Struct,
)
from ottla.streams.expressions.operations import like_pattern, pattern_of, zone_of
from ottla.streams.expressions.types import (
    ANY,
    BOOLEAN,
    BYTES,
    DOUBLE,
    DURATION,
    INTEGER,
    LOCAL_TIMESTAMP,
    MAX_DIGITS,
    NULL,
    TEXT,
    TIMESTAMP,
    Type,
    common_type,
    struct_of,
    type_of,
)

__all__ = ["UNKNOWN", "Bound", "Schema", "bind", "infer", "result_type"]


@dataclass(frozen=True, slots=True)
class Schema:
    """What is known of the types of a stream's records."""

    value: Type = ANY
    key: Type = ANY


UNKNOWN: Final = Schema()


@dataclass(frozen=True, slots=True)
class Bound:
    """An expression that is right for a schema, with what it gives."""

    expression: Expression
    type: Type


def infer(expression: Expression, schema: Schema = UNKNOWN) -> Type:
    """The type of `expression`: see `bind`."""
    return bind(expression, schema).type


def bind(expression: Expression, schema: Schema = UNKNOWN) -> Bound:
    """`expression` made ready for records of `schema`.

    Raises UnknownColumnError for a column that is not there, ExpressionTypeError for an operation that is
    not defined for its operands' types, ExpressionError for a function that does not exist or a pattern or
    a time zone that is none.
    """
    if isinstance(expression, Column):
        return Bound(expression, _column(expression, schema))
    if isinstance(expression, Metadata):
        return Bound(expression, _METADATA[expression.name])
    if isinstance(expression, Header):
        return Bound(expression, BYTES)
    if isinstance(expression, Literal):
        return Bound(expression, type_of(expression.value))
    parts = [bind(child, schema) for child in expression.children]
    kinds = [part.type for part in parts]
    if isinstance(expression, Cast):
        _check_cast(expression, kinds[0])
        kind = expression.type
    elif isinstance(expression, Struct):
        names = [name for name, _ in expression.fields]
        kind = struct_of(*zip(names, kinds, strict=True))
    elif isinstance(expression, Case):
        for condition in kinds[:-1:2]:
            _require(condition, BOOLEAN, expression)
        kind = _unify(expression, parts, [*range(1, len(parts), 2), len(parts) - 1])
    elif isinstance(expression, Call):
        kind = _call(expression, parts)
    else:
        raise ExpressionError(f"{expression!r} is no node of an expression")
    return Bound(expression.with_children(tuple(part.expression for part in parts)), kind)


_METADATA: Final = {
    "timestamp": TIMESTAMP,
    "partition": INTEGER,
    "offset": INTEGER,
    "topic": TEXT,
    "window_start": TIMESTAMP,
    "window_end": TIMESTAMP,
}


def _column(column: Column, schema: Schema) -> Type:
    kind = schema.key if column.part == "key" else schema.value
    within = f"the {column.part}"
    for name in column.path:
        if kind == ANY:
            return ANY
        if kind.name != "struct":
            raise ExpressionTypeError(f"{column}: {within} is {kind} and has no fields")
        found = kind.field(name)
        if found is None:
            raise UnknownColumnError(name, (each for each, _ in kind.fields), within)
        kind, within = found, name
    return kind


def _unify(expression: Expression, parts: list[Bound], places: Sequence[int]) -> Type:
    """The type in which the parts at `places` meet; those that are of another one are cast to it."""
    kind: Type = NULL
    for place in places:
        common = common_type(kind, parts[place].type)
        if common is None:
            raise ExpressionTypeError(f"{expression}: {kind} and {parts[place].type} have nothing in common")
        kind = common
    if kind.is_number:
        for place in places:
            if parts[place].type not in (kind, NULL):
                parts[place] = Bound(Cast(parts[place].expression, kind), kind)
    return kind


def _require(kind: Type, wanted: Type, expression: Expression) -> None:
    if kind not in (wanted, ANY, NULL):
        raise ExpressionTypeError(f"{expression}: {kind} in place of {wanted}")


def _check_cast(cast: Cast, kind: Type) -> None:
    if kind in (ANY, NULL) or kind.name == cast.type.name:
        return
    if cast.type.name not in _CASTS.get(kind.name, ()):
        raise ExpressionTypeError(f"{cast}: {kind} cannot be cast to {cast.type}")


_CASTS: Final[dict[str, tuple[str, ...]]] = {
    "boolean": ("text", "integer"),
    "integer": ("boolean", "double", "decimal", "text"),
    "double": ("integer", "decimal", "text"),
    "decimal": ("integer", "double", "text"),
    "text": (
        "boolean",
        "integer",
        "double",
        "decimal",
        "bytes",
        "timestamp",
        "local timestamp",
        "date",
        "time",
    ),
    "bytes": ("text",),
    "timestamp": ("text", "date"),
    "local timestamp": ("text", "date"),
    "date": ("text",),
    "time": ("text",),
}


def _call(call: Call, parts: list[Bound]) -> Type:
    rule = _RULES.get(call.function)
    if rule is None:
        raise ExpressionError(f"there is no function {call.function!r}{nearest(call.function, _RULES)}")
    minimum, maximum, result = rule
    if not minimum <= len(parts) <= maximum:
        raise ExpressionError(f"{call}: {call.function} takes {minimum} arguments, not {len(parts)}")
    if callable(result):
        return result(call, parts)
    wanted, kind = result
    for part, names in zip(parts, wanted, strict=False):
        if part.type not in (ANY, NULL) and part.type.name not in names:
            raise ExpressionTypeError(f"{call}: {part.type} in place of {' or '.join(names)}")
    _check_literals(call)
    return kind


def result_type(call: Call, kinds: Sequence[Type]) -> Type:
    """The type of `call` where its arguments are of `kinds`."""
    return _call(call, [Bound(each, kind) for each, kind in zip(call.arguments, kinds, strict=True)])


def _check_literals(call: Call) -> None:
    """Patterns and zones that are constants are wrong at once, not with the first record."""
    given = [each.value if isinstance(each, Literal) else None for each in call.arguments]
    try:
        if call.function in ("matches", "extract") and isinstance(given[1], str):
            pattern_of(given[1])
        elif call.function == "like" and isinstance(given[1], str) and isinstance(given[2], str):
            like_pattern(given[1], given[2])
        elif call.function in _ZONED and isinstance(given[-1], str):
            zone_of(given[-1])
    except ValueError as error:
        raise ExpressionError(f"{call}: {error}") from None


_ZONED: Final = frozenset({"year", "month", "day", "hour", "minute", "second", "weekday", "truncate"})


def _comparison(call: Call, parts: list[Bound]) -> Type:
    first = parts[0].type
    for part in parts[1:]:
        if common_type(first, part.type) is None:
            raise ExpressionTypeError(f"{call}: {first} and {part.type} cannot be compared")
    return BOOLEAN


def _logic(call: Call, parts: list[Bound]) -> Type:
    for part in parts:
        _require(part.type, BOOLEAN, call)
    return BOOLEAN


def _coalesce(call: Call, parts: list[Bound]) -> Type:
    return _unify(call, parts, range(len(parts)))


def _null_if(call: Call, parts: list[Bound]) -> Type:
    _comparison(call, parts)
    return parts[0].type


def _test(call: Call, parts: list[Bound]) -> Type:  # noqa: ARG001 # whatever it is given
    return BOOLEAN


_TIMES: Final = ("timestamp", "local timestamp")


def _arithmetic(call: Call, parts: list[Bound]) -> Type:
    left, right = (part.type for part in parts)
    if ANY in (left, right):
        return ANY
    if NULL in (left, right):
        return right if left == NULL else left
    kind = common_type(left, right) if left.is_number and right.is_number else None
    if kind == INTEGER or (kind == DOUBLE and call.function != "floor_divide"):
        return kind
    if kind is not None and call.function in ("add", "subtract"):
        whole = kind.precision - kind.scale + 1
        return Type("decimal", min(whole + kind.scale, MAX_DIGITS), kind.scale)
    if kind is not None and call.function == "multiply":
        a, b = (Type("decimal", 19, 0) if each == INTEGER else each for each in (left, right))
        return Type(
            "decimal", min(a.precision + b.precision + 1, MAX_DIGITS), min(a.scale + b.scale, MAX_DIGITS)
        )
    found = _OTHER_ARITHMETIC.get((call.function, left.name, right.name))
    if found is None:
        raise ExpressionTypeError(f"{call}: not defined for {left} and {right}")
    return found


_OTHER_ARITHMETIC: Final[dict[tuple[str, str, str], Type]] = {
    ("add", "text", "text"): TEXT,
    ("add", "timestamp", "duration"): TIMESTAMP,
    ("add", "duration", "timestamp"): TIMESTAMP,
    ("add", "local timestamp", "duration"): LOCAL_TIMESTAMP,
    ("add", "duration", "local timestamp"): LOCAL_TIMESTAMP,
    ("add", "duration", "duration"): DURATION,
    ("subtract", "timestamp", "timestamp"): DURATION,
    ("subtract", "local timestamp", "local timestamp"): DURATION,
    ("subtract", "timestamp", "duration"): TIMESTAMP,
    ("subtract", "local timestamp", "duration"): LOCAL_TIMESTAMP,
    ("subtract", "duration", "duration"): DURATION,
}


def _of_number(call: Call, parts: list[Bound]) -> Type:
    kind = parts[0].type
    allowed = (
        kind.is_number or kind in (ANY, NULL) or (kind == DURATION and call.function in ("negate", "abs"))
    )
    if not allowed:
        raise ExpressionTypeError(f"{call}: not defined for {kind}")
    if kind.name == "decimal" and call.function in ("floor", "ceil"):
        return Type("decimal", min(kind.precision - kind.scale + 1, MAX_DIGITS), 0)
    if call.function == "round" and kind.name == "decimal":
        digits = call.arguments[1]
        scale = digits.value if isinstance(digits, Literal) and isinstance(digits.value, int) else kind.scale
        return Type("decimal", min(kind.precision + 1, MAX_DIGITS), min(max(scale, 0), kind.scale))
    return kind


def _truncated(call: Call, parts: list[Bound]) -> Type:
    kind = parts[0].type
    if kind not in (ANY, NULL) and kind.name not in _TIMES:
        raise ExpressionTypeError(f"{call}: {kind} in place of timestamp")
    _check_literals(call)
    return kind


def _item(call: Call, parts: list[Bound]) -> Type:
    kind = parts[0].type
    _require(parts[1].type, INTEGER, call)
    if kind in (ANY, NULL):
        return kind
    if kind.item is None:
        raise ExpressionTypeError(f"{call}: {kind} has no items")
    return kind.item


_Names = tuple[str, ...]
_Signature = tuple[tuple[_Names, ...], Type]
_Rule = tuple[int, int, _Signature | Callable[[Call, list[Bound]], Type]]

_TEXT: Final = ("text",)
_INTEGER: Final = ("integer",)
_NUMBER: Final = ("integer", "double", "decimal")
_DATED: Final = (*_TIMES, "date")
_TIMED: Final = (*_TIMES, "time")
_MANY: Final = 10_000


def _takes(*arguments: _Names, gives: Type, optional: int = 0) -> _Rule:
    return len(arguments) - optional, len(arguments), (arguments, gives)


_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "is_distinct"),
        (2, 2, _comparison),
    ),
    **dict.fromkeys(("and", "or"), (2, 2, _logic)),
    **dict.fromkeys(("add", "subtract", "multiply", "floor_divide", "modulo"), (2, 2, _arithmetic)),
    **dict.fromkeys(("negate", "abs", "floor", "ceil"), (1, 1, _of_number)),
    **dict.fromkeys(("lower", "upper"), _takes(_TEXT, gives=TEXT)),
    **dict.fromkeys(("trim", "trim_start", "trim_end"), _takes(_TEXT, _TEXT, gives=TEXT)),
    **dict.fromkeys(("starts_with", "ends_with", "contains", "matches"), _takes(_TEXT, _TEXT, gives=BOOLEAN)),
    **dict.fromkeys(("year", "month", "day", "weekday"), _takes(_DATED, _TEXT, gives=INTEGER)),
    **dict.fromkeys(("hour", "minute", "second"), _takes(_TIMED, _TEXT, gives=INTEGER)),
    "in": (1, _MANY, _comparison),
    "not": (1, 1, _logic),
    "is_null": (1, 1, _test),
    "coalesce": (1, _MANY, _coalesce),
    "null_if": (2, 2, _null_if),
    "round": (2, 2, _of_number),
    "divide": _takes(_NUMBER, _NUMBER, gives=DOUBLE),
    "sqrt": _takes(_NUMBER, gives=DOUBLE),
    "is_nan": _takes(_NUMBER, gives=BOOLEAN),
    "length": _takes(("text", "bytes", "list"), gives=INTEGER),
    "substring": _takes(_TEXT, _INTEGER, _INTEGER, gives=TEXT, optional=1),
    "replace": _takes(_TEXT, _TEXT, _TEXT, gives=TEXT),
    "concat": (1, _MANY, ((_TEXT,) * 64, TEXT)),
    "like": _takes(_TEXT, _TEXT, _TEXT, gives=BOOLEAN),
    "extract": _takes(_TEXT, _TEXT, _INTEGER, gives=TEXT),
    "split_part": _takes(_TEXT, _TEXT, _INTEGER, gives=TEXT),
    "truncate": (3, 3, _truncated),
    "epoch_ms": _takes(("timestamp",), gives=INTEGER),
    "as_timestamp": _takes(_INTEGER, gives=TIMESTAMP),
    "item": (2, 2, _item),
}
"""For each function how many arguments it takes at least and at most, and what it gives for which types."""
