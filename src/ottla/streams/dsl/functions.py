"""What operators take for functions: Python's, or expressions, as functions of a key and a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ottla.streams.errors import TopologyError
from ottla.streams.expressions.errors import ExpressionError
from ottla.streams.expressions.inference import Bound, bind
from ottla.streams.expressions.nodes import Expression, as_expression
from ottla.streams.expressions.row import compile_row
from ottla.streams.records import Record
from ottla.streams.topology.nodes import AnyProcessor

__all__ = ["of_key_and_value", "of_value", "with_expression"]

KeyedFunction = Callable[[Any, Any], Any]


class ExpressionOfValue:
    """An expression as a function of key and value."""

    def __init__(self, expression: Expression) -> None:
        self._evaluate = compile_row(bind(expression).expression)

    def __call__(self, key: Any, value: Any) -> Any:
        return self._evaluate(Record(key, value, -1), None)


class FunctionOfValue:
    """A function of the value alone."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, key: Any, value: Any) -> Any:  # noqa: ARG002
        return self.function(value)


def with_expression(
    function: object,
    operator: str,
    by_expression: Callable[[Bound], AnyProcessor],
    by_function: Callable[[KeyedFunction], AnyProcessor],
    made: Callable[[object, str], KeyedFunction],
) -> Callable[[], AnyProcessor]:
    """The supplier of an operator that takes an expression (or a dict of them, which makes a dict) by
    itself, and anything else as the function that is `made` of it."""
    if not isinstance(function, Mapping | Expression):
        return partial(by_function, made(function, operator))
    try:
        return partial(by_expression, bind(as_expression(function)))
    except ExpressionError as error:
        raise TopologyError(f"{operator}: {error}") from None


def of_key_and_value(function: object, operator: str) -> KeyedFunction:
    """A function of key and value, or an expression."""
    if isinstance(function, Expression):
        return ExpressionOfValue(function)
    if not callable(function):
        raise TopologyError(
            f"{operator} takes a function of a key and a value, or an expression: not {function!r}"
        )
    return function


def of_value(function: object, with_key: bool, operator: str) -> KeyedFunction:
    """A function of the value (of key and value: `with_key`), an expression, or a dict of expressions."""
    if isinstance(function, Mapping | Expression):
        return ExpressionOfValue(as_expression(function))
    if not callable(function):
        raise TopologyError(f"{operator} takes a function of a value, or an expression: not {function!r}")
    return function if with_key else FunctionOfValue(function)
