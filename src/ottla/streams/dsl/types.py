"""The types that the DSL's methods are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ottla.streams.dsl.store import Store
from ottla.streams.expressions.nodes import Expression

__all__ = ["KO", "KR", "KT", "VO", "VR", "A", "Computed", "Condition", "K", "Kept", "Name", "V"]

K = TypeVar("K")
V = TypeVar("V")
KR = TypeVar("KR")
VR = TypeVar("VR")
KO = TypeVar("KO")
VO = TypeVar("VO")
KT = TypeVar("KT")
A = TypeVar("A")

Name = str | None
Condition = Callable[[K, V], object] | Expression
"""True of a record, or not."""
Computed = Expression | Mapping[str, Expression]
"""A value of each record, or a dict of several."""
Kept = Store[K, V] | None
"""The store that an operator is given, if any."""
