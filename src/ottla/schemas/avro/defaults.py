"""Whether a field's default is a value of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.schemas.avro.model import (
    Array,
    Enum,
    Field,
    Fixed,
    MapOf,
    Node,
    Primitive,
    Record,
    Types,
    Union,
)
from ottla.schemas.json_text import is_array
from ottla.schemas.limits import Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Defaults"]

_INT: Final = 1 << 31
_LONG: Final = 1 << 63
_NOTHING: Final = object()
"""What no type has as a value."""


class Defaults:
    """Checks defaults against the types of one schema."""

    def __init__(self, types: Types, budget: Budget) -> None:
        self._types = types
        self._budget = budget
        self._known: dict[tuple[int, int], bool] = {}

    def check(self, field: Field) -> None:
        """Raises `InvalidSchemaError`. A default of a union may be of any branch."""
        if not self._fits(field.type, field.default[0], 0):
            raise InvalidSchemaError(f"The default of the field {field.name} is no value of its type")

    def _fits(self, node: Node, value: object, depth: int) -> bool:
        node = self._types.resolve(node)
        key = (id(node), id(value))
        known = self._known.get(key)
        if known is None:
            self._budget.spend(depth=depth)
            self._known[key] = False  # a default that holds itself never ends
            known = self._known[key] = self._fits_resolved(node, value, depth + 1)
        return known

    def _fits_resolved(self, node: Node, value: object, depth: int) -> bool:
        match node:
            case Primitive(kind=kind):
                return _fits_primitive(kind, value)
            case Fixed() | Enum():
                return isinstance(value, str)
            case Union(branches=branches):
                return any(self._fits(branch, value, depth) for branch in branches)
            case Array(items=items):
                return is_array(value) and all(self._fits(items, each, depth) for each in value)
            case MapOf(values=values):
                return isinstance(value, Mapping) and all(
                    self._fits(values, each, depth) for each in value.values()
                )
            case Record(fields=fields):
                return isinstance(value, Mapping) and all(
                    self._fits(field.type, each, depth)
                    for field in fields
                    for each in (
                        (value[field.name],) if field.name in value else field.default or (_NOTHING,)
                    )
                )
        return False


def _fits_primitive(kind: str, value: object) -> bool:
    if kind in ("string", "bytes"):
        return isinstance(value, str)
    if kind == "null":
        return value is None
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind in ("float", "double"):
        return isinstance(value, int | float)
    bound = _INT if kind == "int" else _LONG
    return isinstance(value, int) and -bound <= value < bound
