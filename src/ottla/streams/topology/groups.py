"""Which nodes belong together: those that hand records to each other, or share a store, are one
sub-topology."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["UnionFind"]


class UnionFind:
    """Names, united into groups."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def add(self, name: str) -> None:
        self._parents[name] = name

    def root(self, name: str) -> str:
        parents = self._parents
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    def unite(self, name: str, others: Iterable[str]) -> None:
        for other in others:
            root, other_root = self.root(name), self.root(other)
            if root != other_root:
                self._parents[root] = other_root
