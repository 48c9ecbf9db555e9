"""What aggregates make of the rows of a chunk, group by group.

A store gives back what it was given only for values that its serde keeps as they are: numbers, texts and
truth values. Others are written and read for each record, so that they are no matter of columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ottla.streams.columnar.chunk import Chunk
from ottla.streams.columnar.column import Column
from ottla.streams.columnar.groups import Groups
from ottla.streams.columnar.objects import array_of, objects_of
from ottla.streams.expressions.aggregates import Accumulator, Aggregates
from ottla.streams.expressions.arrow import evaluate
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.serdes import Double, Json, Long, Serde, Text

__all__ = ["CountFold", "ExpressionFold", "Fold", "FunctionFold", "Folded"]

_MIN: Final = -(1 << 63)
_MAX: Final = (1 << 63) - 1
_KEPT: Final[dict[type, tuple[type, ...]]] = {
    Json: (int, float, str, bool),
    Text: (str,),
    Long: (int,),
    Double: (float,),
}
"""Types whose values come back from a store as they were, by its serde."""

State = Any


class Folded(NamedTuple):
    """What a group is after each of its rows, in the order of the rows; or after all of them, in that of the
    groups' last rows. `old`: what it was before, if that was asked for."""

    new: Column
    old: Column | None


class Fold(Protocol):
    """How a chunk is aggregated. What it does it does to values alone, and raises NotColumnar where it
    cannot, or where something is wrong with a record."""

    def initial(self) -> State: ...
    def run(
        self, chunk: Chunk, groups: Groups, states: Sequence[State], *, each: bool, with_old: bool
    ) -> Folded:
        """`states` has what each group was before; `each`: after each row."""


class CountFold:
    """Counts rows."""

    def initial(self) -> int:
        return 0

    def run(
        self,
        chunk: Chunk,  # noqa: ARG002
        groups: Groups,
        states: Sequence[int],
        *,
        each: bool,
        with_old: bool,
    ) -> Folded:
        if not each:
            counts = [
                states[group] + groups.spans[group][1] - groups.spans[group][0]
                for group in groups.by_last_row()
            ]
            return Folded(_whole_numbers(counts), None)
        numbers: list[int] = []
        for (start, end), state in zip(groups.spans, states, strict=True):
            numbers.extend(range(state + 1, state + 1 + end - start))
        new = _whole_numbers(numbers).array()
        new = groups.in_row_order(new)
        old = Column.of_array(pc.subtract(new, 1)) if with_old else None
        return Folded(Column.of_array(new), old)


class ExpressionFold:
    """Named aggregates of expressions."""

    def __init__(self, aggregates: Aggregates) -> None:
        self._aggregates = aggregates

    def initial(self) -> dict[str, State]:
        return self._aggregates.initial()

    def run(
        self, chunk: Chunk, groups: Groups, states: Sequence[State], *, each: bool, with_old: bool
    ) -> Folded:
        aggregates = self._aggregates
        found: list[tuple[list[State], list[State] | None]] = []
        for name, part, argument, aggregate in zip(
            aggregates.names,
            aggregates.accumulators,
            aggregates.arguments,
            aggregates.aggregates,
            strict=True,
        ):
            values = evaluate(argument, chunk).take(groups.order)
            if aggregate.function != "count":
                _check(values)
            before = [state[name] for state in states]
            if each:
                found.append(_after_each(part, values, groups.spans, before, with_old=with_old))
            else:
                totals = _after_all(part, values, groups.spans, before)
                found.append(([totals[group] for group in groups.by_last_row()], None))
            if aggregate.function == "mean":
                _check_means(found[-1][0])
        new = self._rows(groups, [new for new, _ in found], sort=each)
        if not with_old:
            return Folded(new, None)
        return Folded(new, self._rows(groups, [old or [] for _, old in found], sort=each))

    def _rows(self, groups: Groups, columns: list[list[State]], *, sort: bool) -> Column:
        names = self._aggregates.names
        try:
            arrays = [array_of(each) for each in columns]
        except NotColumnar:
            rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            return Column.of_objects(groups.listed_in_row_order(rows) if sort else rows)
        if any(pa.types.is_floating(each.type) and not _are_finite(each) for each in arrays):
            raise NotColumnar("no number")
        if sort:
            arrays = [groups.in_row_order(each) for each in arrays]
        return Column.of_array(pa.StructArray.from_arrays(arrays, list(names)))


class FunctionFold:
    """A function of key, value and aggregate, called for each row, in their order."""

    def __init__(
        self,
        initializer: Callable[[], State],
        aggregator: Callable[[Any, Any, State], State],
        serde: Serde[Any],
    ) -> None:
        self.initial = initializer
        self._aggregator = aggregator
        self._kept = _KEPT.get(type(serde), ())

    def run(
        self, chunk: Chunk, groups: Groups, states: Sequence[State], *, each: bool, with_old: bool
    ) -> Folded:
        aggregator = self._aggregator
        now = list(states)
        self._check(now, may_be_none=True)
        keys, values = chunk.pairs()
        new, old = [], []
        try:
            for group, key, value in zip(groups.ids, keys, values, strict=True):
                before = now[group]
                now[group] = after = aggregator(key, value, before)
                new.append(after)
                if with_old:
                    old.append(before)
        except Exception as error:  # whatever it is: the record will say it by itself
            raise NotColumnar(str(error)) from error
        self._check(new, may_be_none=False)
        if not each:
            return Folded(Column.of_objects([now[group] for group in groups.by_last_row()]), None)
        return Folded(Column.of_objects(new), Column.of_objects(old) if with_old else None)

    def _check(self, states: list[State], *, may_be_none: bool) -> None:
        kinds = dict.fromkeys(map(type, states))
        if may_be_none:
            kinds.pop(type(None), None)
        if not all(kind in self._kept for kind in kinds):
            raise NotColumnar("aggregates that a store does not keep as they are")
        if float in kinds and not all(type(each) is not float or math.isfinite(each) for each in states):
            raise NotColumnar("no number")
        if int in kinds and not all(type(each) is not int or _MIN <= each <= _MAX for each in states):
            raise NotColumnar("a number of more than 64 bits")


def _whole_numbers(numbers: list[int]) -> Column:
    try:
        return Column.of_array(pa.array(numbers, pa.int64()))
    except (OverflowError, pa.ArrowException) as error:
        raise NotColumnar(str(error)) from error


def _are_finite(numbers: pa.Array) -> bool:
    finite: bool = pc.all(pc.is_finite(numbers), min_count=0).as_py()
    return finite


def _check(values: pa.Array) -> None:
    """Raises NotColumnar for arguments whose aggregates a store does not keep as they are."""
    kind, types = values.type, pa.types
    if types.is_floating(kind) and not _are_finite(values):
        raise NotColumnar("no number")
    if not (
        types.is_int64(kind)
        or types.is_float64(kind)
        or types.is_string(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    ):
        raise NotColumnar(f"aggregates of {kind} are not kept as they are")


Spans = Sequence[tuple[int, int]]


def _after_each(
    part: Accumulator, array: pa.Array, spans: Spans, states: list[State], *, with_old: bool
) -> tuple[list[State], list[State] | None]:
    """The state after each value, group by group, and that before it."""
    values = objects_of(array)
    has_nulls = array.null_count > 0
    new: list[State] = []
    old: list[State] = []
    try:
        for (start, end), state in zip(spans, states, strict=True):
            run = part.run(state, values[start:end], has_nulls=has_nulls)
            new += run
            if with_old:
                old.append(state)
                old += run[:-1]
    except Exception as error:
        raise NotColumnar(str(error)) from error
    return new, old if with_old else None


def _after_all(part: Accumulator, array: pa.Array, spans: Spans, states: list[State]) -> list[State]:
    values = objects_of(array)
    has_nulls = array.null_count > 0
    try:
        totals = [
            part.total(state, values[start:end], has_nulls=has_nulls)
            for (start, end), state in zip(spans, states, strict=True)
        ]
    except Exception as error:
        raise NotColumnar(str(error)) from error
    return totals


def _check_means(states: list[State]) -> None:
    """Infinity is written as null."""
    if any(type(each["sum"]) is float and not math.isfinite(each["sum"]) for each in states):
        raise NotColumnar("no number")
