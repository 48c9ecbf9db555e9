"""Expressions on whole columns, by Arrow's kernels. What `row.py` says is what has to come out.

Where a kernel would say something else, the row's function is applied to each value, or to each different
value of a text. Where that does not serve either (an overflow, a text that is no number, columns whose types
differ from record to record), `NotColumnar` is raised, and the caller asks `row.py`, which also knows how to
say what is wrong with which record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ottla.streams.expressions.arrow_types import from_arrow, in_range, normalized, to_arrow
from ottla.streams.expressions.casting import caster
from ottla.streams.expressions.errors import ExpressionError, NotColumnar
from ottla.streams.expressions.inference import Bound, result_type
from ottla.streams.expressions.kernels import KERNELS, Value, cast_kernel, equal, is_scalar, kleene_or
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
from ottla.streams.expressions.types import Type, type_of

__all__ = ["Rows", "evaluate", "evaluate_filter"]


class Rows(Protocol):
    """Records as columns, each made when it is asked for."""

    def __len__(self) -> int: ...
    def field(self, part: str, path: tuple[str, ...]) -> pa.Array:
        """A field of the "value" or "key" by its path, or that itself: null where it or a parent is missing.
        Raises NotColumnar where no one type holds all."""

    def metadata(self, name: str) -> pa.Array:
        """A column of what `Metadata` names, times as timestamps."""

    def header(self, name: str) -> pa.Array:
        """The last header of that name as binary."""


_FAILURES: Final = (pa.ArrowException, TypeError, ValueError, ArithmeticError, ExpressionError)


def evaluate(bound: Bound, rows: Rows) -> pa.Array:
    """The column of `bound`'s values. Raises NotColumnar where rows have to be taken one at a time."""
    try:
        value = _evaluate(bound.expression, rows)
        array = pa.repeat(value, len(rows)) if is_scalar(value) else value
        if pa.types.is_null(array.type) and bound.type.name not in ("any", "null"):
            return pa.nulls(len(rows), to_arrow(bound.type))
        return array
    except _FAILURES as error:
        raise NotColumnar(f"{bound.expression}: {error}") from error


def evaluate_filter(bound: Bound, rows: Rows) -> pa.Array:
    """Where `bound` is true, as booleans without nulls."""
    mask = evaluate(bound, rows)
    if pa.types.is_null(mask.type):
        return pa.repeat(False, len(rows))
    if not pa.types.is_boolean(mask.type):
        raise NotColumnar(f"{bound.expression} is {mask.type}, not a boolean")
    return pc.fill_null(mask, False) if mask.null_count else mask


def _evaluate(node: Expression, rows: Rows) -> Value:
    if isinstance(node, Column):
        return normalized(rows.field(node.part, node.path))
    if isinstance(node, Literal):
        return _literal(node.value)
    if isinstance(node, Metadata):
        return normalized(rows.metadata(node.name))
    if isinstance(node, Header):
        return rows.header(node.name)
    values = [_evaluate(child, rows) for child in node.children]
    if isinstance(node, Cast):
        return _cast(node, values[0])
    if isinstance(node, Struct):
        return _struct(node, values, len(rows))
    if isinstance(node, Case):
        return _case(values)
    if not isinstance(node, Call):
        raise ExpressionError(f"{node!r} is no node of an expression")
    special = _SPECIAL.get(node.function)
    return _strict(node, values) if special is None else special(values)


def _literal(value: object) -> pa.Scalar:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return pa.scalar(value, to_arrow(type_of(value)))


def _strict(node: Call, values: list[Value]) -> Value:
    if any(pa.types.is_null(value.type) for value in values):
        return pa.scalar(None)
    kernel = KERNELS.get(node.function)
    found = NotImplemented if kernel is None else kernel(*values)
    if found is not NotImplemented:
        return in_range(found)
    kind = result_type(node, [from_arrow(value.type) for value in values])
    return _by_value(OPERATIONS[node.function], values, kind)


def _by_value(operation: Callable[..., Any], values: Sequence[Value], kind: Type) -> Value:
    """The row's function on each value, or on each different one of a column of text or bytes."""
    columns = [value for value in values if not is_scalar(value)]
    if not columns:
        constants = [value.as_py() for value in values]
        return pa.scalar(None if None in constants else operation(*constants), to_arrow(kind))
    first = columns[0]
    by_dictionary = len(columns) == 1 and (pa.types.is_string(first.type) or pa.types.is_binary(first.type))
    if by_dictionary:
        encoded = first.dictionary_encode()
        values = [encoded.dictionary if value is first else value for value in values]
    rows = len(encoded.dictionary) if by_dictionary else len(first)
    lists = [[value.as_py()] * rows if is_scalar(value) else value.to_pylist() for value in values]
    made = [None if None in row else operation(*row) for row in zip(*lists, strict=True)]
    array = _array(made, kind)
    return array.take(encoded.indices) if by_dictionary else array


def _array(values: list[Any], kind: Type) -> pa.Array:
    wanted = to_arrow(kind)
    if kind.name == "decimal":
        if any(value is not None and -value.as_tuple().exponent != kind.scale for value in values):
            raise ValueError("decimals with different numbers of digits")
    elif kind.name == "integer" and any(isinstance(value, Decimal) for value in values):
        raise ValueError("decimals among integers")
    return pa.array(values, wanted)


def _cast(node: Cast, value: Value) -> Value:
    if pa.types.is_null(value.type):
        return value.cast(to_arrow(node.type))
    if value.type == to_arrow(node.type):
        return value
    found = cast_kernel(node.type, value)
    if found is not NotImplemented:
        return found
    convert = caster(node.type)

    def attempt(each: Any) -> Any:
        try:
            return convert(each)
        except (TypeError, ValueError, ArithmeticError):
            return None

    return _by_value(convert if node.is_strict else attempt, [value], node.type)


def _struct(node: Struct, values: Sequence[Value], length: int) -> pa.Array:
    arrays = [pa.repeat(value, length) if is_scalar(value) else value for value in values]
    if not arrays:
        raise NotColumnar("a struct without fields")
    return pa.StructArray.from_arrays(arrays, [name for name, _ in node.fields])


def _alike(values: Sequence[Value]) -> list[Value]:
    """Values that are one column: of one type, nulls aside. In rows mixed numbers stay what they are."""
    kinds = list(dict.fromkeys(value.type for value in values if not pa.types.is_null(value.type)))
    if len(kinds) > 1:
        raise NotColumnar("values of different types")
    if not kinds:
        return list(values)
    kind = kinds[0]
    return [value if value.type == kind else value.cast(kind) for value in values]


def _truth(value: Value) -> Value:
    if pa.types.is_null(value.type):
        return value.cast(pa.bool_())
    if not pa.types.is_boolean(value.type):
        raise NotColumnar(f"{value.type} is not a boolean")
    return value


def _case(values: list[Value]) -> Value:
    *conditions, default = values[::2]
    made = _alike([*values[1::2], default])
    found = made[-1]
    for condition, then in zip(reversed(conditions), reversed(made[:-1]), strict=True):
        found = pc.if_else(pc.fill_null(_truth(condition), False), then, found)
    return found


def _and(values: list[Value]) -> Value:
    return pc.and_kleene(_truth(values[0]), _truth(values[1]))


def _or(values: list[Value]) -> Value:
    return pc.or_kleene(_truth(values[0]), _truth(values[1]))


def _is_null(values: list[Value]) -> Value:
    return pc.is_null(values[0])


def _coalesce(values: list[Value]) -> Value:
    return pc.coalesce(*_alike(values))


def _null_if(values: list[Value]) -> Value:
    if any(pa.types.is_null(value.type) for value in values):
        return values[0]
    same = pc.fill_null(_compared(values), False)
    return pc.if_else(same, pa.scalar(None, values[0].type), values[0])


def _compared(values: Sequence[Value]) -> Value:
    found = equal(*values)
    if found is NotImplemented:
        raise NotColumnar("values are compared one at a time")
    return found


def _is_distinct(values: list[Value]) -> Value:
    left, right = values
    one_is_null = pc.not_equal(pc.is_null(left), pc.is_null(right))
    if pa.types.is_null(left.type) or pa.types.is_null(right.type):
        return one_is_null
    return pc.coalesce(pc.invert(_compared(values)), one_is_null)


def _in(values: list[Value]) -> Value:
    operand, *candidates = values
    if pa.types.is_null(operand.type):
        return operand.cast(pa.bool_())
    unknown = pa.scalar(None, pa.bool_())
    has_null = any(is_scalar(each) and not each.is_valid for each in candidates)
    candidates = [each for each in candidates if not (is_scalar(each) and not each.is_valid)]
    plain = pa.types.is_integer(operand.type) or pa.types.is_string(operand.type)
    if plain and all(is_scalar(each) and each.type == operand.type for each in candidates):
        options = pa.array([each.as_py() for each in candidates], operand.type)
        found: Value = pc.if_else(pc.is_null(operand), unknown, pc.is_in(operand, value_set=options))
    else:
        found = pc.if_else(pc.is_null(operand), unknown, pa.scalar(False))
        for each in candidates:
            found = kleene_or(found, _compared([operand, each]))
    return kleene_or(found, unknown) if has_null else found


_SPECIAL: Final[dict[str, Callable[[list[Value]], Value]]] = {
    "and": _and,
    "or": _or,
    "is_null": _is_null,
    "coalesce": _coalesce,
    "null_if": _null_if,
    "is_distinct": _is_distinct,
    "in": _in,
}
