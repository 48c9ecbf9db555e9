"""Joins of tables, by key or by foreign key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ottla.streams.dsl.parts import TableParts
from ottla.streams.dsl.store import Store
from ottla.streams.dsl.table_joins import table_join
from ottla.streams.errors import TopologyError

__all__ = ["joined"]


def joined(
    table: TableParts,
    other: TableParts,
    kind: Literal["inner", "left"],
    joiner: Callable[[Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
    foreign_key: Callable[..., Any] | None,
    with_key: bool,  # noqa: ARG001
) -> TableParts:
    """A join by key, or by a foreign key if one is given."""
    if foreign_key is None:
        return table_join(table, other, joiner, given, name, kind)
    raise TopologyError("foreign keys are not there yet")
