"""Built-in aggregates: what is kept of a group, a record at a time, and how parts of a group become one.

Nulls are left out, as SQL's aggregates do; over nothing but nulls a sum, a mean, a least is null, a count 0.
What is kept of `count`, `sum`, `min`, `max`, `first`, `last` and of collections is their result itself; a
`mean` keeps its sum and its count. All of it is plain values, which JSON can hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final, Protocol

from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError, nearest
from ottla.streams.expressions.inference import UNKNOWN, Bound, Schema, bind
from ottla.streams.expressions.nodes import Aggregate
from ottla.streams.expressions.operations import OPERATIONS, compare_with
from ottla.streams.expressions.row import compile_row
from ottla.streams.expressions.types import (
    ANY,
    DOUBLE,
    INTEGER,
    MAX_INTEGER,
    MIN_INTEGER,
    NULL,
    Type,
    list_of,
    struct_of,
    type_name,
)
from ottla.streams.records import Record, RecordMetadata

__all__ = ["Aggregates"]

# A state is whatever its accumulator keeps, a value whatever the expression gave.
_State = Any
_Value = Any


class Accumulator(Protocol):
    """How an aggregate is computed. States are never changed in place."""

    @property
    def initial(self) -> _State: ...
    @property
    def can_subtract(self) -> bool:
        """Whether a value can be taken back, as an aggregate of a table has to."""

    def add(self, state: _State, value: _Value) -> _State:
        """`state` with a value that is not null."""

    def subtract(self, state: _State, value: _Value) -> _State: ...
    def merge(self, state: _State, later: _State) -> _State:
        """Of two parts of a group, `later` being the one that is later in time."""

    def result(self, state: _State) -> _Value: ...
    def run(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> list[_State]:
        """The state after each of `values`, nulls among them only if it `has_nulls`."""

    def total(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> _State:
        """The state after all of them."""


class _OneByOne:
    """An accumulator that takes many values as it takes one."""

    add: Callable[[_State, _Value], _State]

    def run(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> list[_State]:
        add = self.add
        after = []
        for value in values:
            if not has_nulls or value is not None:
                state = add(state, value)
            after.append(state)
        return after

    def total(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> _State:
        add = self.add
        for value in values:
            if not has_nulls or value is not None:
                state = add(state, value)
        return state


class _Plain(_OneByOne):
    """An accumulator whose state is its result."""

    initial: _State = None
    can_subtract = False

    def subtract(self, state: _State, value: _Value) -> _State:
        raise ExpressionError(f"{self} cannot be taken back")

    def result(self, state: _State) -> _Value:
        return state


class _Count(_Plain):
    initial = 0
    can_subtract = True

    def add(self, state: int, value: _Value) -> int:
        return state + 1

    def subtract(self, state: int, value: _Value) -> int:
        return state - 1

    def merge(self, state: int, later: int) -> int:
        return state + later

    def run(self, state: int, values: Sequence[_Value], *, has_nulls: bool) -> list[int]:
        if has_nulls:
            return super().run(state, values, has_nulls=True)
        return list(range(state + 1, state + 1 + len(values)))

    def total(self, state: int, values: Sequence[_Value], *, has_nulls: bool) -> int:
        return state + len(values) - (values.count(None) if has_nulls else 0)


_SUMMED: Final = frozenset({int, float, Decimal, timedelta})


def _summed(value: _Value) -> _Value:
    if type(value) not in _SUMMED:
        raise TypeError(f"{type_name(value)} has no sum")
    return value


class _Sum(_Plain):
    can_subtract = True

    def add(self, state: _State, value: _Value) -> _State:
        return _summed(value) if state is None else _PLUS(state, _summed(value))

    def subtract(self, state: _State, value: _Value) -> _State:
        return _NEGATIVE(_summed(value)) if state is None else _MINUS(state, _summed(value))

    def merge(self, state: _State, later: _State) -> _State:
        if state is None or later is None:
            return later if state is None else state
        return _PLUS(state, later)

    def run(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> list[_State]:
        if has_nulls or not _is_summed_as_it_is(state, values):
            return super().run(state, values, has_nulls=has_nulls)
        sums = list(accumulate(values)) if state is None else list(accumulate(values, initial=state))[1:]
        if type(sums[-1]) is int and not (min(sums) >= MIN_INTEGER and max(sums) <= MAX_INTEGER):
            raise OverflowError("a sum does not fit in 64 bits")
        return sums

    def total(self, state: _State, values: Sequence[_Value], *, has_nulls: bool) -> _State:
        if has_nulls or not _is_summed_as_it_is(state, values) or type(values[0]) is float:
            # Doubles are added one by one: `sum` would round another way.
            sums = self.run(state, values, has_nulls=has_nulls)
            return sums[-1] if sums else state
        made = sum(values, state or 0)
        if max(abs(made), sum(map(abs, values)) + abs(state or 0)) > MAX_INTEGER:
            return self.run(state, values, has_nulls=False)[-1]
        return made


def _is_summed_as_it_is(state: _State, values: Sequence[_Value]) -> bool:
    """Whether `values`, which are of one type, are numbers that Python adds as they are to be added."""
    return bool(values) and type(values[0]) in (int, float) and type(state) in (type(None), type(values[0]))


_PLUS: Final = OPERATIONS["add"]
_MINUS: Final = OPERATIONS["subtract"]
_NEGATIVE: Final = OPERATIONS["negate"]
_DIVIDED: Final = OPERATIONS["divide"]


class _Mean(_OneByOne):
    """Keeps {"sum", "count"}."""

    can_subtract = True
    initial: Final = {"sum": None, "count": 0}

    def __init__(self) -> None:
        self._sum = _Sum()

    def add(self, state: _State, value: _Value) -> _State:
        return {"sum": self._sum.add(state["sum"], value), "count": state["count"] + 1}

    def subtract(self, state: _State, value: _Value) -> _State:
        count = state["count"] - 1
        return {"sum": self._sum.subtract(state["sum"], value) if count else None, "count": count}

    def merge(self, state: _State, later: _State) -> _State:
        return {
            "sum": self._sum.merge(state["sum"], later["sum"]),
            "count": state["count"] + later["count"],
        }

    def result(self, state: _State) -> float | None:
        if not state["count"]:
            return None
        mean: float = _DIVIDED(state["sum"], state["count"])
        return mean


def _is_nan(value: _Value) -> bool:
    return type(value) is float and math.isnan(value)


_BELOW: Final = compare_with(lambda left, right: left < right)


def _less(left: _Value, right: _Value) -> bool:
    """NaN is above all numbers, as in Java's order of doubles and PostgreSQL's."""
    if _is_nan(left) or _is_nan(right):
        return not _is_nan(left)
    return _BELOW(left, right)


class _Extreme(_Plain):
    """The least or the greatest; of equal ones the first."""

    def __init__(self, is_better: Callable[[_Value, _Value], bool]) -> None:
        self._is_better = is_better

    def add(self, state: _State, value: _Value) -> _State:
        return value if state is None or self._is_better(value, state) else state

    def merge(self, state: _State, later: _State) -> _State:
        return state if later is None else self.add(state, later)


class _First(_Plain):
    def add(self, state: _State, value: _Value) -> _State:
        return value if state is None else state

    def merge(self, state: _State, later: _State) -> _State:
        return later if state is None else state


class _Last(_Plain):
    def add(self, state: _State, value: _Value) -> _State:
        return value

    def merge(self, state: _State, later: _State) -> _State:
        return state if later is None else later


class _Collect(_Plain):
    """The first `limit`: what comes when it is full is left out."""

    def __init__(self, limit: int, *, is_set: bool) -> None:
        if limit < 1:
            raise ExpressionError(f"a collection of at most {limit} holds nothing")
        self.initial = []
        self._limit = limit
        self._is_set = is_set
        self.can_subtract = not is_set

    def add(self, state: list[_Value], value: _Value) -> list[_Value]:
        if len(state) >= self._limit or (self._is_set and _position(state, value) is not None):
            return state
        return [*state, value]

    def subtract(self, state: list[_Value], value: _Value) -> list[_Value]:
        at = _position(state, value)
        return state if at is None else state[:at] + state[at + 1 :]

    def merge(self, state: list[_Value], later: list[_Value]) -> list[_Value]:
        for value in later:
            state = self.add(state, value)
        return state


def _position(values: list[_Value], value: _Value) -> int | None:
    """Where the last that is the same stands."""
    for at in range(len(values) - 1, -1, -1):
        if type(values[at]) is type(value) and values[at] == value:
            return at
    return None


_FUNCTIONS: Final[dict[str, Callable[[int], Accumulator]]] = {
    "count": lambda limit: _Count(),
    "sum": lambda limit: _Sum(),
    "mean": lambda limit: _Mean(),
    "min": lambda limit: _Extreme(_less),
    "max": lambda limit: _Extreme(lambda left, right: _less(right, left)),
    "first": lambda limit: _First(),
    "last": lambda limit: _Last(),
    "collect_list": lambda limit: _Collect(limit, is_set=False),
    "collect_set": lambda limit: _Collect(limit, is_set=True),
}


def accumulator(aggregate: Aggregate) -> Accumulator:
    """What computes `aggregate`. Raises ExpressionError for a function that does not exist."""
    made = _FUNCTIONS.get(aggregate.function)
    if made is None:
        raise ExpressionError(
            f"there is no aggregate {aggregate.function!r}{nearest(aggregate.function, _FUNCTIONS)}"
        )
    return made(1000 if aggregate.limit is None else aggregate.limit)


class Aggregates:
    """Named aggregates of one group, computed together: a state is a dict with what each one keeps.

    Raises ExpressionError (see `bind`) where an argument is not right for the schema.
    """

    def __init__(self, named: Mapping[str, Aggregate], schema: Schema = UNKNOWN) -> None:
        if not named:
            raise ExpressionError("there is nothing to aggregate")
        for name, each in named.items():
            if not isinstance(each, Aggregate):
                raise ExpressionTypeError(
                    f"{name} is {each!r}, and no aggregate such as count() or col(...).sum()"
                )
        self.names: Final = tuple(named)
        self.aggregates: Final = tuple(named.values())
        self.arguments: Final = tuple(bind(each.argument, schema) for each in self.aggregates)
        self.accumulators: Final = tuple(map(accumulator, self.aggregates))
        self.type: Final = struct_of(
            *zip(self.names, map(_type, self.aggregates, self.arguments), strict=True)
        )
        self._steps: Final = tuple(
            (name, part, compile_row(argument.expression), aggregate)
            for name, part, argument, aggregate in zip(
                self.names, self.accumulators, self.arguments, self.aggregates, strict=True
            )
        )

    @property
    def is_plain(self) -> bool:
        """Whether each state is its result."""
        return not any(isinstance(each, _Mean) for each in self.accumulators)

    @property
    def irreversible(self) -> list[str]:
        """The aggregates that no value can be taken back from, which those of a table must be."""
        pairs = zip(self.aggregates, self.accumulators, strict=True)
        return [str(aggregate) for aggregate, each in pairs if not each.can_subtract]

    def initial(self) -> dict[str, _State]:
        return {name: each.initial for name, each in zip(self.names, self.accumulators, strict=True)}

    def add(
        self, record: Record[Any, Any], where: RecordMetadata | None, state: Mapping[str, _State]
    ) -> dict[str, _State]:
        """`state` with a record. Raises ExpressionError."""
        return self._changed(record, where, state, is_added=True)

    def subtract(
        self, record: Record[Any, Any], where: RecordMetadata | None, state: Mapping[str, _State]
    ) -> dict[str, _State]:
        return self._changed(record, where, state, is_added=False)

    def _changed(
        self,
        record: Record[Any, Any],
        where: RecordMetadata | None,
        state: Mapping[str, _State],
        *,
        is_added: bool,
    ) -> dict[str, _State]:
        changed = {}
        for name, part, argument, aggregate in self._steps:
            value = argument(record, where)
            kept = state[name]
            if value is None:
                changed[name] = kept
                continue
            try:
                changed[name] = part.add(kept, value) if is_added else part.subtract(kept, value)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise self.failure(aggregate, value, error) from error
        return changed

    @staticmethod
    def failure(aggregate: Aggregate, value: _Value, error: Exception) -> ExpressionError:
        """What is said where `value` cannot be added."""
        if isinstance(error, ExpressionError):
            return error
        kind = ExpressionTypeError if isinstance(error, TypeError) else ExpressionError
        return kind(f"{aggregate}: {error} ({aggregate.argument} = {value!r:.80})")

    def merge(self, state: Mapping[str, _State], later: Mapping[str, _State]) -> dict[str, _State]:
        """The state of two parts of a group."""
        pairs = zip(self.names, self.accumulators, strict=True)
        return {name: each.merge(state[name], later[name]) for name, each in pairs}

    def result(self, state: Mapping[str, _State]) -> dict[str, _Value]:
        """What is shown of a state."""
        pairs = zip(self.names, self.accumulators, strict=True)
        return {name: each.result(state[name]) for name, each in pairs}


def _type(aggregate: Aggregate, argument: Bound) -> Type:
    kind = argument.type
    function = aggregate.function
    if function == "count":
        return INTEGER
    if function in ("sum", "mean") and not (kind.is_number or kind in (ANY, NULL) or kind.name == "duration"):
        raise ExpressionTypeError(f"{aggregate}: {kind} has no {function}")
    if function == "mean":
        return DOUBLE
    if function == "sum" and kind.name == "decimal":
        return Type("decimal", 38, kind.scale)
    if function in ("collect_list", "collect_set"):
        return list_of(kind)
    return kind
