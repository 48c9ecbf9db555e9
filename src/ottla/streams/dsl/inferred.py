"""Serdes that need not be said, because expressions and a schema tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottla.streams.expressions.inference import Schema, infer
from ottla.streams.expressions.nodes import Expression
from ottla.streams.expressions.types import ANY, Type
from ottla.streams.serdes import UUID, Boolean, Bytes, Double, Json, Long, Serde, Text
from ottla.streams.topology.nodes import AnySerde

__all__ = ["key_serde", "value_serde"]

_SERDES: dict[str, type[Serde[Any]]] = {
    "text": Text,
    "integer": Long,
    "double": Double,
    "boolean": Boolean,
    "bytes": Bytes,
    "uuid": UUID,
}


def key_serde(function: object, given: AnySerde, key: AnySerde, value: AnySerde) -> AnySerde:
    """The serde of keys that `function` gives: the one that is given, or what an expression's type says of
    values with a schema; None where neither tells. `key` and `value` are those of the records that it is
    for."""
    if given is not None or not isinstance(function, Expression):
        return given
    schema = Schema(value=_value_type(value), key=_key_type(key))
    made = _SERDES.get(infer(function, schema).name)
    return None if made is None else made()


def _value_type(serde: AnySerde) -> Type:
    if not isinstance(serde, Json) or serde.schema is None:
        return ANY
    from ottla.streams.expressions.arrow_types import from_arrow

    return from_arrow(serde.schema)


def _key_type(serde: AnySerde) -> Type:
    return next((Type(name) for name, made in _SERDES.items() if isinstance(serde, made)), ANY)


def value_serde(function: object) -> AnySerde:
    """The serde of values that `function` gives: JSON's of a dict of expressions."""
    return Json() if isinstance(function, Mapping) else None
