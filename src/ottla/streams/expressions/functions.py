"""What expressions are begun with; operators and methods of `Expression` go on from there."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.streams.expressions.errors import ExpressionError
from ottla.streams.expressions.nodes import (
    Aggregate,
    Call,
    Case,
    Column,
    Expression,
    Header,
    Literal,
    Metadata,
    as_expression,
)

__all__ = [
    "call",
    "coalesce",
    "col",
    "concat",
    "count",
    "header",
    "key",
    "lit",
    "offset",
    "partition",
    "timestamp",
    "topic",
    "value",
    "when",
    "window_end",
    "window_start",
]


def col(name: str | Sequence[str]) -> Column:
    """A field of the record's value. "a.b" is field b of field a; a sequence of names takes them as they are:
    `col(["a.b"])` is the field whose name has a dot."""
    return Column(_path(name))


def key(name: str | Sequence[str] = ()) -> Column:
    """The record's key, or a field of it. Of a windowed key, the key that is in the window."""
    return Column(_path(name) if name else (), "key")


def value() -> Column:
    """The record's value itself, of whatever type: a number, a text."""
    return Column(())


def _path(name: str | Sequence[str]) -> tuple[str, ...]:
    path = tuple(name.split(".")) if isinstance(name, str) else tuple(name)
    if not path or not all(path):
        raise ExpressionError(f"{name!r} is no name of a column")
    return path


def lit(constant: object) -> Expression:
    """A constant; a mapping of names is a struct of constants or expressions."""
    return as_expression(constant)


def call(function: str, *arguments: object) -> Call:
    """A function by its name: see `inference` for those that there are."""
    return Call(function, tuple(map(as_expression, arguments)))


def timestamp() -> Metadata:
    """The record's time; null where it has none."""
    return Metadata("timestamp")


def partition() -> Metadata:
    """The partition that the record of the input came from."""
    return Metadata("partition")


def offset() -> Metadata:
    """The offset of the record of the input."""
    return Metadata("offset")


def topic() -> Metadata:
    """The topic that the record of the input came from."""
    return Metadata("topic")


def window_start() -> Metadata:
    """The first moment of the key's window."""
    return Metadata("window_start")


def window_end() -> Metadata:
    """The end of the key's window, as its `Window` has it."""
    return Metadata("window_end")


def header(name: str) -> Header:
    """The bytes of the record's last header `name`."""
    return Header(name)


def coalesce(*values: object) -> Call:
    """The first of `values` that is not null."""
    return call("coalesce", *values)


def concat(*values: object) -> Call:
    """Texts one after the other; null where one of them is null."""
    return call("concat", *values)


def when(condition: object, then: object) -> Case:
    """SQL's CASE: `when(a, x).when(b, y).otherwise(z)`, null without the last where nothing is true."""
    return Case(((as_expression(condition), as_expression(then)),))


def count() -> Aggregate:
    """How many records there are in the group."""
    return Aggregate("count", Literal(1))
