"""A stream that is being split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from ottla.streams.dsl.functions import of_key_and_value
from ottla.streams.dsl.graph import Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.parts import StreamParts
from ottla.streams.dsl.types import Condition, K, Name, V
from ottla.streams.processors import stateless

S = TypeVar("S")


class BranchedKStream(Generic[K, V, S]):
    """A record goes to the first branch whose predicate takes it. Each branch is a stream, an `S`."""

    def __init__(self, parts: StreamParts, name: Name, stream: Callable[[StreamParts], S]) -> None:
        self._name = Named(name, parts.graph).or_generate("KSTREAM-BRANCH-")
        self._parts = parts
        self._stream = stream
        self._streams: dict[str, S] = {}
        self._predicates: list[Callable[..., object]] = []
        self._children: list[str] = []
        make = partial(stateless.Branch, self._predicates, self._children)
        self._node = ProcessorGraphNode(Parameters(self._name, make))
        parts.graph.add(parts.node, self._node)

    def branch(self, function: Condition[K, V], *, name: Name = None) -> BranchedKStream[K, V, S]:
        """A branch, whose name is that of the split and after it `name`, or its number."""
        self._predicates.append(of_key_and_value(function, "branch"))
        self._add(str(len(self._predicates)) if name is None else name)
        return self

    def default_branch(self, *, name: Name = None) -> dict[str, S]:
        """All branches by name, with one more for all else (its number is 0)."""
        self._add("0" if name is None else name)
        return self._streams

    def no_default_branch(self) -> dict[str, S]:
        """All branches by name; all else is dropped."""
        return self._streams

    def _add(self, suffix: str) -> None:
        s = self._parts
        name = self._name + suffix
        self._children.append(name)
        s.graph.new_name(name)  # takes a number, as in Java
        node = ProcessorGraphNode(Parameters(name, stateless.PassThrough))
        s.graph.add(self._node, node)
        parts = StreamParts(name, s.key, s.value, s.sources, s.needs_repartition, node, s.graph)
        self._streams[name] = self._stream(parts)
