"""A table that every instance has."""

from __future__ import annotations

from typing import Generic

from ottla.streams.dsl.parts import GlobalTableParts
from ottla.streams.dsl.types import K, V

__all__ = ["GlobalKTable"]


class GlobalKTable(Generic[K, V]):
    """A table that every instance has in whole, so that streams of any keys can be joined with it."""

    def __init__(self, parts: GlobalTableParts) -> None:
        self.parts = parts
