"""Expressions on one record at a time: compiled to closures. What they give here is what they mean.

Records' values are dicts for `col(...)`: a field that is missing, or of a null, is null. `arrow.py` does the
same on columns, and gives way to this where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from ottla.streams.expressions.casting import caster
from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError, nearest
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
from ottla.streams.expressions.operations import OPERATIONS
from ottla.streams.expressions.types import type_name
from ottla.streams.records import Record, RecordMetadata, Windowed

__all__ = ["compile_row"]

Evaluator = Callable[["Record[Any, Any]", "RecordMetadata | None"], Any]
"""Gives an expression's value for a record. Raises ExpressionError, with the expression and its operands."""

_Row = Record[Any, Any]
_Where = RecordMetadata | None

_FAILURES: Final = (TypeError, ValueError, ArithmeticError)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def compile_row(expression: Expression) -> Evaluator:
    """The closure that evaluates `expression`, which has been bound (see `inference`)."""
    if isinstance(expression, Column):
        return _column(expression)
    if isinstance(expression, Literal):
        constant = expression.value
        return lambda record, where: constant
    if isinstance(expression, Metadata):
        return _metadata(expression)
    if isinstance(expression, Header):
        return _header(expression.name)
    parts = [compile_row(child) for child in expression.children]
    if isinstance(expression, Cast):
        return _cast(expression, parts[0])
    if isinstance(expression, Struct):
        names = [name for name, _ in expression.fields]
        return lambda record, where: {
            name: part(record, where) for name, part in zip(names, parts, strict=True)
        }
    if isinstance(expression, Case):
        return _case(expression, parts)
    if isinstance(expression, Call):
        special = _SPECIAL.get(expression.function)
        return _strict(expression, parts) if special is None else special(expression, parts)
    raise ExpressionError(f"{expression!r} is no node of an expression")


def _column(column: Column) -> Evaluator:
    if column.part == "key":
        return _key(column)
    path = column.path
    if not path:
        return lambda record, where: record.value
    if len(path) > 1:
        return lambda record, where: _at(column, record.value, path)
    name = path[0]

    def field(record: _Row, where: _Where) -> Any:
        value = record.value
        if type(value) is dict:
            return value.get(name)
        return _at(column, value, path)

    return field


def _key(column: Column) -> Evaluator:
    def key(record: _Row, where: _Where) -> Any:
        held = record.key
        return _at(column, held.key if type(held) is Windowed else held, column.path)

    return key


def _at(column: Column, value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ExpressionTypeError(f"{column}: {type_name(value)} has no field {name!r}")
        value = value.get(name)
    return value


def _metadata(node: Metadata) -> Evaluator:
    if node.name == "timestamp":
        return lambda record, where: None if record.timestamp < 0 else _time(record.timestamp)
    if node.name in ("window_start", "window_end"):
        return _window(node)
    if node.name == "partition":
        return lambda record, where: None if where is None else where.partition
    if node.name == "offset":
        return lambda record, where: None if where is None else where.offset
    return lambda record, where: None if where is None else where.topic


def _time(timestamp: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=timestamp)
    except OverflowError:
        raise ExpressionError(f"timestamp(): {timestamp} ms is after the year 9999") from None


def _window(node: Metadata) -> Evaluator:
    is_start = node.name == "window_start"

    def bound(record: _Row, where: _Where) -> datetime:
        if type(record.key) is not Windowed:
            raise ExpressionTypeError(f"{node}: the key has no window")
        return _time(record.key.window.start if is_start else record.key.window.end)

    return bound


def _header(name: str) -> Evaluator:
    def header(record: _Row, where: _Where) -> bytes | None:
        for each, value in reversed(record.headers):
            if each == name:
                return value
        return None

    return header


def _failed(node: Expression, values: Sequence[Any], error: Exception) -> NoReturn:
    """Say which expression failed, over which operands, and why."""
    if isinstance(error, ExpressionError):
        raise error
    kind = ExpressionTypeError if isinstance(error, TypeError) else ExpressionError
    operands = ", ".join(
        f"{child} = {_shown(value)}"
        for child, value in zip(node.children, values, strict=False)
        if not isinstance(child, Literal)
    )
    raise kind(f"{node}: {error}{f' ({operands})' if operands else ''}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _strict(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    """A function that is null where one of its operands is."""
    operation = OPERATIONS.get(node.function)
    if operation is None:
        raise ExpressionError(f"there is no function {node.function!r}{nearest(node.function, OPERATIONS)}")
    constants = [each.value if isinstance(each, Literal) else None for each in node.arguments[1:]]
    if None not in constants:
        return _with_constants(node, operation, parts[0], constants)
    if len(parts) == 2:
        return _with_two(node, operation, parts[0], parts[1])

    def evaluate(record: _Row, where: _Where) -> Any:
        values = [part(record, where) for part in parts]
        if None in values:
            return None
        try:
            return operation(*values)
        except _FAILURES as error:
            _failed(node, values, error)

    return evaluate


def _with_constants(
    node: Call, operation: Callable[..., Any], operand: Evaluator, constants: Sequence[Any]
) -> Evaluator:
    def evaluate(record: _Row, where: _Where) -> Any:
        value = operand(record, where)
        if value is None:
            return None
        try:
            return operation(value, *constants)
        except _FAILURES as error:
            _failed(node, (value,), error)

    return evaluate


def _with_two(node: Call, operation: Callable[..., Any], left: Evaluator, right: Evaluator) -> Evaluator:
    def evaluate(record: _Row, where: _Where) -> Any:
        first = left(record, where)
        second = right(record, where)
        if first is None or second is None:
            return None
        try:
            return operation(first, second)
        except _FAILURES as error:
            _failed(node, (first, second), error)

    return evaluate


def _cast(node: Cast, operand: Evaluator) -> Evaluator:
    convert = caster(node.type)

    def cast(record: _Row, where: _Where) -> Any:
        value = operand(record, where)
        if value is None:
            return None
        try:
            return convert(value)
        except _FAILURES as error:
            if not node.is_strict:
                return None
            _failed(node, (value,), error)

    return cast


def _truth(node: Expression, value: Any) -> bool | None:
    if value is None or type(value) is bool:
        return value
    raise ExpressionTypeError(f"{node}: {_shown(value)} is {type_name(value)}, not a boolean")


def _case(node: Case, parts: Sequence[Evaluator]) -> Evaluator:
    *pairs, default = parts
    branches = list(zip(pairs[::2], pairs[1::2], strict=True))

    def case(record: _Row, where: _Where) -> Any:
        for condition, value in branches:
            if _truth(node, condition(record, where)):
                return value(record, where)
        return default(record, where)

    return case


def _and(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    left, right = parts

    def evaluate(record: _Row, where: _Where) -> bool | None:
        first = left(record, where)
        if first is False:
            return False
        second = right(record, where)
        if first is True and type(second) is bool:
            return second
        if _truth(node, second) is False:
            return False
        _truth(node, first)
        return None if first is None or second is None else True

    return evaluate


def _or(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    left, right = parts

    def evaluate(record: _Row, where: _Where) -> bool | None:
        first = left(record, where)
        if first is True:
            return True
        second = right(record, where)
        if first is False and type(second) is bool:
            return second
        if _truth(node, second) is True:
            return True
        _truth(node, first)
        return None if first is None or second is None else False

    return evaluate


def _is_null(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    operand = parts[0]
    return lambda record, where: operand(record, where) is None


def _coalesce(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    def coalesce(record: _Row, where: _Where) -> Any:
        for part in parts:
            value = part(record, where)
            if value is not None:
                return value
        return None

    return coalesce


def _null_if(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    operand = parts[0]
    equal = _with_two(node, OPERATIONS["equal"], *parts)

    def null_if(record: _Row, where: _Where) -> Any:
        return None if equal(record, where) else operand(record, where)

    return null_if


def _is_distinct(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    left, right = parts
    different = _with_two(node, OPERATIONS["not_equal"], left, right)

    def is_distinct(record: _Row, where: _Where) -> bool:
        found: bool | None = different(record, where)
        if found is None:
            return (left(record, where) is None) != (right(record, where) is None)
        return found

    return is_distinct


def _in(node: Call, parts: Sequence[Evaluator]) -> Evaluator:
    operand, *candidates = parts
    same = OPERATIONS["equal"]

    def is_in(record: _Row, where: _Where) -> bool | None:
        value = operand(record, where)
        if value is None:
            return None
        answer: bool | None = False
        for candidate in candidates:
            other = candidate(record, where)
            if other is None:
                answer = None
                continue
            try:
                if same(value, other):
                    return True
            except _FAILURES as error:
                _failed(node, (value,), error)
        return answer

    constants = [each.value for each in node.arguments[1:] if isinstance(each, Literal)]
    kinds = list(dict.fromkeys(map(type, constants)))
    if len(constants) < len(candidates) or len(kinds) != 1 or kinds[0] not in (int, str, bytes):
        return is_in
    return _in_set(operand, frozenset(constants), kinds[0], is_in)


def _in_set(operand: Evaluator, values: frozenset[Any], kind: type, otherwise: Evaluator) -> Evaluator:
    """Constants of one type are looked up; a value of another is compared with each."""

    def is_in(record: _Row, where: _Where) -> bool | None:
        value = operand(record, where)
        if type(value) is kind:
            return value in values
        found: bool | None = otherwise(record, where)
        return found

    return is_in


_SPECIAL: Final[dict[str, Callable[[Call, Sequence[Evaluator]], Evaluator]]] = {
    "and": _and,
    "or": _or,
    "is_null": _is_null,
    "coalesce": _coalesce,
    "null_if": _null_if,
    "is_distinct": _is_distinct,
    "in": _in,
}
"""The functions to which nulls are more than nulls."""
