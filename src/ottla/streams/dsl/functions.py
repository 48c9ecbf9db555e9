"""What operators take for functions: Python's, or expressions, as functions of a key and a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from ottla.streams.errors import TopologyError

__all__ = ["KeyedFunction", "ValueExpression", "of_key_and_value", "of_value", "predicate"]

KeyedFunction = Callable[[Any, Any], Any]


@runtime_checkable
class ValueExpression(Protocol):
    """An expression over a record's value, such as `col("amount") > 50`."""

    def evaluate(self, value: Any, /) -> Any:
        """What it is for a value; None for SQL's null."""


class ExpressionOfValue:
    """An expression as a function of key and value; a plan of columns looks for `expression`."""

    def __init__(self, expression: ValueExpression) -> None:
        self.expression = expression
        self._evaluate = expression.evaluate

    def __call__(self, key: Any, value: Any) -> Any:  # noqa: ARG002
        return self._evaluate(value)


class ProjectionOfValue:
    """Named expressions as a function that makes a dict of them."""

    def __init__(self, expressions: Mapping[str, ValueExpression]) -> None:
        self.expressions = dict(expressions)
        self._evaluate = [(name, expression.evaluate) for name, expression in expressions.items()]

    def __call__(self, key: Any, value: Any) -> dict[str, Any]:  # noqa: ARG002
        return {name: evaluate(value) for name, evaluate in self._evaluate}


class FunctionOfValue:
    """A function of the value alone."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, key: Any, value: Any) -> Any:  # noqa: ARG002
        return self.function(value)


def _is_expression(function: object) -> bool:
    return isinstance(function, ValueExpression) and not isinstance(function, type)


def predicate(function: object, operator: str) -> KeyedFunction:
    """A function of key and value, or an expression: what it says of a record, true or not."""
    return of_key_and_value(function, operator)


def of_key_and_value(function: object, operator: str) -> KeyedFunction:
    if _is_expression(function):
        assert isinstance(function, ValueExpression)
        return ExpressionOfValue(function)
    if not callable(function):
        raise TopologyError(
            f"{operator} takes a function of a key and a value, or an expression: not {function!r}"
        )
    return function


def of_value(function: object, with_key: bool, operator: str) -> KeyedFunction:
    """A function of the value (of key and value: `with_key`), an expression, or a dict of named
    expressions."""
    if isinstance(function, Mapping):
        wrong = [name for name, expression in function.items() if not _is_expression(expression)]
        if wrong:
            raise TopologyError(f"{operator} takes a dict of expressions: {wrong[0]!r} is none")
        return ProjectionOfValue(function)
    if _is_expression(function):
        assert isinstance(function, ValueExpression)
        return ExpressionOfValue(function)
    if not callable(function):
        raise TopologyError(f"{operator} takes a function of a value, or an expression: not {function!r}")
    return function if with_key else FunctionOfValue(function)
